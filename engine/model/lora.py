"""LoRA by peft: several policies as adapters on one copy of a model's weights (Hu et al., 2021).

The weights of the model are frozen. An adapter adds alpha / rank * B A to the matrices it targets; B begins at zero, so
that a new adapter changes nothing. A model answers with one adapter at a time: each policy names its own before a pass.
Adapters have no dropout, as nothing here has: a ratio compares log-probabilities drawn without it.
"""

from __future__ import annotations

import copy
import itertools
import warnings
import weakref
from pathlib import Path
from typing import Any, Self

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer, cast_adapter_dtype
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from engine.errors import UsageFault
from engine.recipe.sections import Lora

_PREFIX = "base_model.model."
"""What peft puts before the names of an adapter's weights in its files."""
_WEIGHTS = "adapter_model.safetensors"
ADAPTABLE = (torch.nn.Linear, torch.nn.Embedding, Conv1D)
_numbers = itertools.count()


class Adapter:
    """One adapter of a model. It is gone from the model when nothing refers to it any more."""

    def __init__(self, model: Any, config: LoraConfig, seed: int = 0) -> None:
        """A new adapter, its B zero and its A drawn from ``seed``."""
        self._model = model
        self._config = config
        self._name = f"ra3_{next(_numbers)}"
        self._off = False
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            torch.manual_seed(seed)
            inject_adapter_in_model(config, model, self._name)
        cast_adapter_dtype(model, self._name)  # to float32, whatever the model's: small steps vanish in bfloat16
        for layer in self._layers():
            layer.set_adapter(self._name)  # else the others went on asking for gradients
        weakref.finalize(self, _remove, model, self._name).atexit = False

    @classmethod
    def on(cls, model: Any, settings: Lora, seed: int) -> Self:
        """The first adapter of ``model``, as a recipe asks for it.

        Raises:
            UsageFault: the recipe's target modules are not to be adapted.
        """
        targets = settings.target_modules
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM",
        )
        try:
            adapter = cls(model, config, seed)
        except ValueError as error:
            raise UsageFault(f"lora.target_modules = {targets!r}: {str(error).splitlines()[0]}") from error
        _check_targets(model)
        return adapter

    def activate(self) -> None:
        """Have the model answer with this adapter alone."""
        layers = self._layers()
        if self._off:
            if not layers[0].disable_adapters:
                for layer in layers:
                    layer.enable_adapters(False)
        elif layers[0].disable_adapters or layers[0].active_adapters != [self._name]:
            for layer in layers:
                layer.set_adapter(self._name)
                layer.enable_adapters(True)

    def copy(self) -> Adapter:
        """An adapter of the same weights on the same model."""
        twin = Adapter(self._model, copy.deepcopy(self._config))
        twin.load_state_dict(self.state_dict())
        return twin

    def base(self) -> Adapter | None:
        """What makes the model answer without an adapter where this one still adds nothing, else None."""
        factors: dict[str, list[bool]] = {}
        for name, weight in self.state_dict().items():
            module, _, _ = name.partition(".lora_")
            factors.setdefault(module, []).append(bool(weight.any()))
        if any(map(all, factors.values())):  # B is zero at first, but A where it is an embedding that is adapted
            return None
        without = copy.copy(self)
        without._off = True
        return without

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """A and B of every adapted matrix, in the order of the model."""
        return [weight for name, weight in self._model.named_parameters() if self._name in name.split(".")]

    def state_dict(self) -> dict[str, Tensor]:
        """The adapter's weights, by names without its own."""
        suffix = f".{self._name}"
        parameters = self._model.named_parameters()
        return {name.replace(suffix, ""): weight.data for name, weight in parameters if self._name in name.split(".")}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over the weights of another adapter of the same shape."""
        weights = self.state_dict()
        if weights.keys() != state.keys():
            raise ValueError(f"an adapter of other modules: {sorted(weights.keys() ^ state.keys())[:3]}")
        for name, weight in weights.items():
            weight.copy_(state[name])

    def frozen(self) -> dict[str, Tensor]:
        """The weights of the model, which no adapter changes."""
        return {name: weight for name, weight in self._model.state_dict().items() if "lora_" not in name}

    def weights(self) -> dict[str, Tensor]:
        """Those of the frozen model, and this adapter's."""
        return self.frozen() | self.state_dict()

    @torch.no_grad()
    def merged(self) -> dict[str, Tensor]:
        """The weights of a plain model that answers as this adapter does, but for rounding."""
        frozen = self.frozen()
        for path, module in self._model.named_modules():
            if isinstance(module, BaseTunerLayer):
                name = f"{path}.base_layer.weight"
                frozen[name] = (frozen[name] + module.get_delta_weight(self._name)).to(frozen[name].dtype)
        return {name.replace(".base_layer", ""): weight for name, weight in frozen.items()}

    def save(self, folder: Path) -> None:
        """Write the adapter as peft does, so that peft opens it on the same base."""
        self._config.save_pretrained(folder)
        weights = {_PREFIX + name: weight.contiguous() for name, weight in self.state_dict().items()}
        save_file(weights, folder / _WEIGHTS)

    def restore(self, folder: Path) -> None:
        """Take over what `save` wrote."""
        self.load_state_dict({name.removeprefix(_PREFIX): w for name, w in load_file(folder / _WEIGHTS).items()})

    def _layers(self) -> list[Any]:
        return [module for module in self._model.modules() if isinstance(module, BaseTunerLayer)]


def _check_targets(model: Any) -> None:
    """Refuse to adapt what `merged` could not write.

    Raises:
        UsageFault: the head is adapted, or more than a matrix.
    """
    if isinstance(model.get_output_embeddings(), BaseTunerLayer):
        raise UsageFault("lora.target_modules: the output head cannot be adapted; leave it out")
    if isinstance(model.get_input_embeddings(), BaseTunerLayer):
        model.config.tie_word_embeddings = False  # once merged they differ from the head, which they may have been
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer) and not isinstance(module.get_base_layer(), ADAPTABLE):
            raise UsageFault(f"lora.target_modules: {name} is more than a matrix and cannot be adapted; leave it out")


def _remove(model: Any, name: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Adapter .* was active")
        for module in model.modules():
            if isinstance(module, BaseTunerLayer):
                module.delete_adapter(name)
    model.peft_config.pop(name, None)
