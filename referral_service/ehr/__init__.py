"""The EHRs that referrals come from, and what is read from them: this service as their client."""
