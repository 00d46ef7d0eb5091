"""Routes of crm under /api/v1/."""

from rest_framework.routers import SimpleRouter

from crm.api import door, profiles, segments, views

router = SimpleRouter(use_regex_path=False)
router.register("profiles", profiles.ProfileViewSet, basename="profile")
router.register("merges", views.MergeViewSet, basename="merge")
router.register("merge-suggestions", views.MergeSuggestionViewSet, basename="merge-suggestion")
router.register("sources", door.SourceViewSet, basename="source")
router.register("ingestion-warnings", door.IngestionWarningViewSet, basename="ingestion-warning")
router.register("event-kinds", door.EventKindViewSet, basename="event-kind")
router.register("segments", segments.SegmentViewSet, basename="segment")
router.register("segment-exports", segments.SegmentExportViewSet, basename="segment-export")
router.register("knobs", views.KnobViewSet, basename="knob")

urlpatterns = router.urls
