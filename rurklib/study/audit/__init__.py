"""An audit of models that were made elsewhere: measured, judged, and written to a folder."""

from rurklib.study.audit.audit import audit
from rurklib.study.audit.files import read_audit

__all__ = ["audit", "read_audit"]
