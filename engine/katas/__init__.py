"""Katas: small Python functions made from a seed, some of whose lines no shallow model can write without a comment.

A kata's docstring asks for a few steps, and tells the constants ("keys") they need as sums to be worked out. The expert
writes a key's value at once; the sum, worked out in a one-line comment before it, is what a model needs to get there.
Torch-free, and needs nothing but the standard library.
"""
