"""Every change is told to whoever has asked for it: noted with the change, numbered by one leader, sent until taken."""
