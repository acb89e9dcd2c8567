"""Collections: read, checked, stored; and the few judgments that training may see."""
