"""ra3-tiny from scratch: a model of half a million weights that can work out a kata's comment, and hardly ever does.

`python -m engine.pretraining` trains it on the katas' pre-training split, in tokens and not in seconds, so that one
seed gives one model, bit for bit on one kind of machine.
"""
