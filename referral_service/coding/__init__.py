"""Facts -> G24.x with evidence. Standard library only; the tables come in as a ``Vocabulary``."""

from referral_service.coding.assess import Assessment, Indication, Why, assess
from referral_service.coding.red_flags import RedFlag, red_flags_in

__all__ = ["Assessment", "Indication", "RedFlag", "Why", "assess", "red_flags_in"]
