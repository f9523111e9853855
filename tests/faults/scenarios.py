"""What may happen in a short while, each as one function from a world to what was violated by it.

The tests of this folder hold that none of them violates anything; those of seeded faults, that each fault shows.
"""
