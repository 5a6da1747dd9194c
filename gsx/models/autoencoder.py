"""What the variational autoencoders share: everything but their posterior."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gsx.costs import Expect
from gsx.data import Dataset
from gsx.distributions import Distribution
from gsx.models.base import DirectTerm, Model, Params
from gsx.models.minibatch import draw_rows
from gsx.models.networks import Activation, init_perceptron, perceptron
from gsx.noise import Noise
from gsx.records import ConfigurationError

Inputs = Literal["signed", "centred", "raw"]


class VariationalAutoencoder(Model):
    """The negative ELBO of each row x of a fixed minibatch: E_{z ~ q(z|x)} [log q(z|x) - log p(z) - log p(x|z)], in nats.

    q(z|x) from the network `encoder` on x; p(x|z) Bernoulli pixels, their logits from the network `decoder`. The cost depends on the
    parameters twice over: through q, and through the decoder, and a learned prior, that it closes over. Where training warms up, the first
    two terms are weighed by `kl_weight`. `inputs` says what the networks read of x and of discrete z: `signed`, 2x - 1 and 2z - 1;
    `centred`, x minus the mean image of the whole data set, and 2z - 1; `raw`, x and z.
    """

    direct_term: DirectTerm = "log_q"
    independent_rows = True
    default_data = "digits"
    x: Tensor
    mean_image: Tensor
    #: The weight of log q(z|x) - log p(z) in the loss.
    kl_weight: float = 1.0

    def __init__(
        self,
        *,
        data: Dataset,
        hidden: list[int],
        batch: int,
        encoder_outputs: int,
        code_width: int,
        seed: int,
        activation: Activation = "tanh",
        inputs: Inputs = "signed",
    ) -> None:
        super().__init__(seed=seed)
        if any(width < 1 for width in hidden):
            raise ConfigurationError(f"hidden={hidden}: widths must be at least 1")
        self.activation, self.inputs = activation, inputs
        images = torch.from_numpy(data.inputs)
        self.register_buffer("x", images[draw_rows(data, batch, seed)])
        self.register_buffer("mean_image", images.mean(0))
        pixels = images.shape[1]
        self.encoder_widths = [pixels, *hidden, encoder_outputs]
        self.decoder_widths = [code_width, *reversed(hidden), pixels]

    @abstractmethod
    def posterior(self, outputs: Tensor) -> Distribution:
        """q(z|x) from the encoder's outputs ``[*batch, encoder_outputs]``."""

    @abstractmethod
    def log_prior(self, params: Params, z: Tensor) -> Tensor:
        """log p(z) ``[S, *batch]``."""

    @abstractmethod
    def code(self, z: Tensor) -> Tensor:
        """What the decoder reads, ``[S, *batch, code_width]``."""

    def observe(self, inputs: Tensor, labels: Tensor, of: int) -> None:
        self.x = inputs

    def init(self, noise: Noise) -> Params:
        params = init_perceptron("encoder", self.encoder_widths, noise) | init_perceptron("decoder", self.decoder_widths, noise)
        # A decoder that starts from the mean image, as is usual: otherwise the loss is about pixels that are always off.
        params[f"decoder.{len(self.decoder_widths) - 2}.bias"] = torch.logit(self.mean_image.clamp(0.01, 0.99))
        return params

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = self.posterior(perceptron(params, "encoder", self.centre(self.x), self.activation))
        return expect(q, lambda z, q: self.divergence(params, z, q) - self.log_likelihood(params, z))

    def centre(self, x: Tensor) -> Tensor:
        """What the encoder reads of x."""
        match self.inputs:
            case "signed":
                return 2 * x - 1
            case "centred":
                return x - self.mean_image
            case "raw":
                return x

    def divergence(self, params: Params, z: Tensor, q: Distribution) -> Tensor:
        """log q(z|x) - log p(z), whose expectation is the KL divergence, weighed."""
        divergence = q.log_prob(z) - self.log_prior(params, z)
        return divergence if self.kl_weight == 1 else self.kl_weight * divergence

    def log_likelihood(self, params: Params, z: Tensor) -> Tensor:
        logits = perceptron(params, "decoder", self.code(z), self.activation)
        return (self.x * logits - softplus(logits)).sum(-1)
