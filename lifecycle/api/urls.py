"""Routes of lifecycle under /api/v1/."""

from rest_framework.routers import SimpleRouter

from lifecycle.api import views

router = SimpleRouter(use_regex_path=False)
router.register("messages", views.MessageViewSet, basename="message")
router.register("journeys", views.JourneyViewSet, basename="journey")
router.register("enrolments", views.EnrolmentViewSet, basename="enrolment")
router.register("message-kinds", views.KindViewSet, basename="message-kind")
router.register("message-templates", views.TemplateViewSet, basename="message-template")

urlpatterns = router.urls
