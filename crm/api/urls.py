"""Routes of crm under /api/v1/."""

from rest_framework.routers import SimpleRouter

from crm.api import computed, door, imports, people, privacy, profiles, segments, views

router = SimpleRouter(use_regex_path=False)
router.register("profiles", profiles.ProfileViewSet, basename="profile")
router.register("merges", views.MergeViewSet, basename="merge")
router.register("merge-suggestions", views.MergeSuggestionViewSet, basename="merge-suggestion")
router.register("sources", door.SourceViewSet, basename="source")
router.register("ingestion-warnings", door.IngestionWarningViewSet, basename="ingestion-warning")
router.register("event-kinds", door.EventKindViewSet, basename="event-kind")
router.register("computed-traits", computed.ComputedTraitViewSet, basename="computed-trait")
router.register("purchase-reports", computed.PurchaseReportViewSet, basename="purchase-report")
router.register("segments", segments.SegmentViewSet, basename="segment")
router.register("segment-exports", segments.SegmentExportViewSet, basename="segment-export")
router.register("imports", imports.ImportViewSet, basename="import")
router.register("profiles", privacy.ProfilePrivacyViewSet, basename="profile-privacy")
router.register("consent-texts", privacy.ConsentTextViewSet, basename="consent-text")
router.register("pressure-reservations", privacy.PressureReservationViewSet, basename="pressure-reservation")
router.register("person-exports", privacy.PersonExportViewSet, basename="person-export")
router.register("erasures", privacy.ErasureViewSet, basename="erasure")
router.register("processing-register", privacy.ProcessingViewSet, basename="processing-register")
router.register("retention", privacy.RetentionViewSet, basename="retention")
router.register("accounts", people.AccountViewSet, basename="account")
router.register("profile-notes", people.NoteViewSet, basename="profile-note")
router.register("profile-links", people.LinkViewSet, basename="profile-link")
router.register("identity-rules", people.IdentityRuleViewSet, basename="identity-rule")
router.register("knobs", views.KnobViewSet, basename="knob")

urlpatterns = router.urls
