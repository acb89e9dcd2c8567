"""What people tell of the answers that they got."""

from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore, Kind

__all__ = ["FeedbackEvent", "FeedbackStore", "Kind"]
