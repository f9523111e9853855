"""Who may send, see and move referrals: scopes of systems, roles of people."""
