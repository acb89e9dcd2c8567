"""What people tell of the answers that they got."""

from zero2ir.feedback.store import FeedbackEvent, FeedbackStore, Kind

__all__ = ["FeedbackEvent", "FeedbackStore", "Kind"]
