"""The routes of members under /api/v1/."""

from rest_framework.routers import SimpleRouter

from members.api.views import AccountViewSet, EntryViewSet

router = SimpleRouter()
router.register("points/accounts", AccountViewSet, basename="points-account")
router.register("points/entries", EntryViewSet, basename="points-entry")

urlpatterns = router.urls
