"""TODO study.notebooks"""

__all__ = []
