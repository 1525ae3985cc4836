"""What engines of tests are forked from: their imports done, and out of the sight of the garbage collector."""

import gc

import engine.pipeline  # noqa: F401

gc.freeze()
