"""What engines of tests are forked from: imports done, tokenizer trained, out of the sight of the garbage collector."""

import gc

import engine.pipeline  # noqa: F401
from engine.model.opening.random_model import random_tiny

random_tiny()
gc.freeze()
