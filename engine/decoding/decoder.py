"""The batched decoder: many sequences, each a coroutine that feeds tokens and asks about what comes next.

A *row* is a generator. It yields a `Turn` (tokens to feed, and a question about the logits behind them), receives an
`Answer`, and returns its result. The decoder runs the turns of up to `batch_size` rows in one forward pass, and gives a
finished row's slot in the cache to the next waiting one. Rows that hold the same tokens and feed the same next share
one computation for as long as they agree; one that comes later copies the columns of what has been computed before.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from engine.decoding.beginnings import Beginnings, common
from engine.decoding.kvcache import Span
from engine.decoding.recorded import Passes
from engine.errors import EnvironmentFault
from engine.model.passes import predicting
from engine.model.policy import Policy, Support
from engine.model.transfers import fetched, sent, sent_together

MIN_SHARED = 8
"""A common beginning shorter than this is computed again rather than copied."""

ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class Turn:
    """What a row wants of one step: feed tokens, then either the log-probability of a text or a draw."""

    feed: list[int]
    """Tokens to add; at least one."""
    drop: int = 0
    """How many of the tokens fed last are forgotten first."""
    score: Sequence[int] = ()
    """Tokens whose log-probability is asked: the last `len(score) - 1` tokens fed are all but its last one, and the one
    before predicts its first, which is conditioned on "a new line starts" where chunks lead with theirs."""
    uniform: float | None = None
    """For a draw: the row's own random number in [0, 1)."""
    lift: Tensor | None = None
    """For a draw: [V] nats added to the logits, as part of the model that is drawn from."""

    def __post_init__(self) -> None:
        if len(self.feed) < self.n_read:
            raise ValueError(
                f"a turn fed {len(self.feed)} tokens; {len(self.score)} scored tokens need as many, at least 1"
            )

    @property
    def n_read(self) -> int:
        """How many of the tokens fed have their predictions read."""
        return max(1, len(self.score))


class Answer(NamedTuple):
    """What a row is told."""

    logprob: float
    """Of the scored text, or of the drawn event under the model at temperature 1."""
    token: int = -1
    """The drawn event."""
    behaviour_logprob: float = 0.0
    """Of the drawn event under the distribution it was drawn from."""


Row = Generator[Turn, Answer, ResultT]
Drawing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""From logits [R, V] and uniforms [R] to events [R], log-probabilities [R] and behaviour log-probabilities [R]."""


@dataclass(slots=True)
class _Slot:
    """A row of the cache, and the sequence it holds."""

    number: int
    ids: list[int] = field(default_factory=list)
    """The tokens whose keys the row holds, also after the sequence has ended."""
    index: int | None = None
    """Which sequence that is; None when free."""
    turn: Turn | None = None
    fresh: bool = False
    """The sequence has fed nothing yet: `ids` are still those of the one before it."""


class Decoder(Generic[ResultT]):
    """Runs rows to their ends. One use: make it, `run` it."""

    def __init__(self, policy: Policy, rows: Sequence[Row[ResultT]], drawing: Drawing, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: at least one row must be decoded")
        self._policy = policy
        self._rows = rows
        self._drawing = drawing
        self._waiting = deque(range(len(rows)))
        self._slots = [_Slot(i) for i in range(min(batch_size, len(rows)))]
        self._passes = Passes(policy, len(self._slots))
        leading = not policy.boundary.trailing
        self._newlines = policy.supports[Support.NEWLINE].nonzero()[:, 0] if leading else None
        self.results: dict[int, ResultT] = {}

    @torch.inference_mode()
    def run(
        self, on_done: Callable[[int, ResultT], None] | None = None, should_stop: Callable[[], bool] | None = None
    ) -> list[ResultT]:
        """The rows' results, in their order; when `should_stop` says so, those of the rows that have ended by then."""
        with predicting(self._policy, packed=True):
            while not (should_stop and should_stop()):
                self._admit()
                slots = self._ready()
                if not slots:
                    break
                for slot, answer in zip(slots, self._step(slots), strict=True):
                    self._resume(slot, answer, on_done)
        return [self.results[index] for index in sorted(self.results)]

    def _admit(self) -> None:
        for slot in self._slots:
            if slot.index is None and self._waiting:
                slot.index = self._waiting.popleft()
                slot.turn = next(self._rows[slot.index])
                slot.fresh = True

    def _ready(self) -> list[_Slot]:
        """The slots that take part in the next step: all but newcomers that can soon copy a newcomer's beginning.

        One that feeds the very same goes with it.
        """
        taking_part = [slot for slot in self._slots if slot.index is not None]
        if not any(slot.fresh for slot in taking_part):
            return taking_part
        ready: list[_Slot] = []
        held, begun = Beginnings((slot.ids, slot.number) for slot in self._slots), Beginnings()
        for slot in taking_part:
            if slot.fresh:
                feed = _turn_of(slot).feed
                cached, donor = held.longest(feed)
                coming, _ = begun.longest(feed, but_itself=True)
                if coming > max(cached, MIN_SHARED):
                    continue
                held.remove(slot.ids, slot.number)
                self._begin(slot, cached, donor)
                held.add(slot.ids, slot.number)
                if not slot.ids:
                    begun.add(feed, slot.number)
            ready.append(slot)
        return ready

    def _begin(self, slot: _Slot, cached: int, donor: int) -> None:
        """Start a newcomer behind what the cache already holds of its first `cached` tokens, at `donor`'s place."""
        turn = _turn_of(slot)
        length = min(cached, len(turn.feed) - turn.n_read)
        if length < MIN_SHARED:
            length = 0
        elif common(slot.ids, turn.feed) < length:
            self._passes.cache.copy_columns(donor, slot.number, length)
        slot.ids, turn.feed, slot.fresh = turn.feed[:length], turn.feed[length:], False

    def _step(self, slots: Sequence[_Slot]) -> list[Answer]:
        """One forward pass over the turns of `slots`; those that hold and feed the same tokens are computed once."""
        spans: list[Span] = []
        packed: list[int] = []
        read: list[range] = []
        begins: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        for slot in slots:
            turn = _turn_of(slot)
            del slot.ids[len(slot.ids) - turn.drop :]
            begin = begins.setdefault((tuple(slot.ids), tuple(turn.feed)), len(packed))
            if begin == len(packed):
                packed += turn.feed
            stop = begin + len(turn.feed)
            spans.append(Span(slot.number, begin, stop, len(slot.ids)))
            slot.ids += turn.feed
            self._check_position(len(slot.ids))
            read.append(range(stop - turn.n_read, stop))
        hidden = self._passes.forward(spans, packed)
        return self._answers([_turn_of(slot) for slot in slots], hidden, read)

    def _check_position(self, tokens: int) -> None:
        most = self._policy.max_positions
        if most is not None and tokens > most:
            raise EnvironmentFault(
                f"a sequence came to {tokens} tokens, but {self._policy.name} has positions for {most}"
            )

    def _answers(self, turns: Sequence[Turn], hidden: Tensor, read: Sequence[range]) -> list[Answer]:
        """Answer draws and scores, each kind in one batch; what the device says comes over in one piece."""
        draws = [i for i, turn in enumerate(turns) if turn.uniform is not None]
        questions = {i: (read[i], tuple(turn.score)) for i, turn in enumerate(turns) if turn.uniform is None}
        texts = list(dict.fromkeys(questions.values()))
        before = [at for where, _ in texts for at in where]
        last, before_each = sent_together([[read[i][-1] for i in draws], before], hidden.device)
        drawn = self._draw([turns[i] for i in draws], hidden[last]) if draws else ()
        scored = [self._score([text for _, text in texts], hidden[before_each])] if texts else []
        columns = [column.tolist() for column in fetched([*drawn, *scored])]
        answers: dict[int, Answer] = {}
        if draws:
            tokens, logprobs, behaviour = columns[:3]
            answers |= {i: Answer(logprobs[n], int(tokens[n]), behaviour[n]) for n, i in enumerate(draws)}
        if texts:
            logprob_of = dict(zip(texts, columns[-1], strict=True))
            answers |= {i: Answer(logprob_of[question]) for i, question in questions.items()}
        return [answers[i] for i in range(len(turns))]

    def _draw(self, turns: Sequence[Turn], hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        uniforms = torch.tensor([turn.uniform for turn in turns], dtype=torch.float64)
        logits = self._policy.logits(hidden)
        for row, turn in enumerate(turns):
            if turn.lift is not None:
                logits[row] += turn.lift
        return self._drawing(logits, sent(uniforms, hidden.device))

    def _score(self, texts: Sequence[Sequence[int]], hidden: Tensor) -> Tensor:
        return score_texts(self._policy.logits(hidden), texts, self._newlines)

    def _resume(self, slot: _Slot, answer: Answer, on_done: Callable[[int, ResultT], None] | None) -> None:
        assert slot.index is not None  # noqa: S101 - a slot with a turn has a sequence
        try:
            slot.turn = self._rows[slot.index].send(answer)
        except StopIteration as end:
            self.results[slot.index] = end.value
            index, slot.index, slot.turn = slot.index, None, None
            if on_done is not None:
                on_done(index, end.value)


def _turn_of(slot: _Slot) -> Turn:
    assert slot.turn is not None  # noqa: S101 - only slots with a turn are stepped
    return slot.turn


def score_texts(logits: Tensor, texts: Sequence[Sequence[int]], newlines: Tensor | None) -> Tensor:
    """float64 [m] log-probability of each text; where chunks lead with their newline, that one starts is given.

    Args:
        logits: float32 [sum of the texts' lengths, V], the prediction of each token in turn.
        texts: m times token ids.
        newlines: int64 [n], the tokens that begin with a newline, over which the first is renormalised; None where the
            newline stands before it.
    """
    lengths = np.array([len(text) for text in texts])
    begins = lengths.cumsum() - lengths
    offsets = np.arange(lengths.max())
    padded = np.where(offsets < lengths[:, None], begins[:, None] + offsets, lengths.sum())
    tokens, firsts, places = sent_together([[token for text in texts for token in text], begins, padded], logits.device)
    totals = logits.logsumexp(-1)
    if newlines is not None:
        totals[firsts] = logits[firsts][:, newlines].logsumexp(-1)
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - totals
    return pad(logprobs.double(), (0, 1))[places].view(padded.shape).sum(-1)  # behind the last one stands a zero
