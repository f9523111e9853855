"""Facts -> G24.x with evidence. Standard library only; the tables come in as a ``Vocabulary``."""

from referral_service.coding.assess import Assessment, Indication, assess
from referral_service.coding.red_flags import RedFlag, red_flags_in

__all__ = ["Assessment", "Indication", "RedFlag", "assess", "red_flags_in"]
