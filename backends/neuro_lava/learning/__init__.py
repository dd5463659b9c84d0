"""Learning on Lava: reward-modulated STDP by Lava's own learning engine, and e-prop by Processes of our own.

Nothing is imported here, because `neuro_lava` itself must import where Lava is not. See docs/lava_learning.md.
"""
