"""The routes of voc under /api/v1/."""

from rest_framework.routers import SimpleRouter

from voc.api.views.feedback import FeedbackViewSet
from voc.api.views.releases import ChangelogViewSet, ReleaseViewSet
from voc.api.views.tickets import TicketViewSet

router = SimpleRouter()
router.register("feedback", FeedbackViewSet, basename="feedback")
router.register("tickets", TicketViewSet, basename="ticket")
router.register("releases", ReleaseViewSet, basename="release")
router.register("changelog", ChangelogViewSet, basename="changelog")

urlpatterns = router.urls
