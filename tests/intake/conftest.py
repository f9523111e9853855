"""A caller at the doors of a site, once on each engine."""

from tests.web.conftest import caller

__all__ = ["caller"]
