"""Dense recurrent baselines without spikes: LSTM and vanilla RNN classifiers on the same tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuro.train.initial import Streams
from neuro.train.lsnn import Output


class _Recurrent(nn.Module):
    """A torch recurrent layer and a linear readout at every step, y(t) = W h(t) + b."""

    def __init__(self, layer: nn.RNNBase, n_out: int, streams: Streams) -> None:
        super().__init__()
        self.layer = layer
        self.readout = nn.Linear(layer.hidden_size, n_out, dtype=layer.weight_hh_l0.dtype)
        self.n_in, self.n_out = layer.input_size, n_out
        bound = 1 / np.sqrt(layer.hidden_size)
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.copy_(torch.from_numpy(streams(f"init/{name}").uniform(-bound, bound, tuple(p.shape))))

    def forward(self, inputs: Any, *, spikes: bool = True, traces: bool = False) -> Output:
        """Run a batch from rest: inputs (batch, steps, n_in), y (batch, steps, n_out). There are no spikes and no traces."""
        h, _ = self.layer(torch.as_tensor(inputs).to(self.readout.weight.dtype))
        y: Tensor = self.readout(h)
        return Output(y)


class LSTMClassifier(_Recurrent):
    """torch's LSTM (Hochreiter & Schmidhuber 1997, with forget gates) of n_units cells.

    Parameters start uniform in +-1 / sqrt(n_units), the forget gate's bias at 1 more (Jozefowicz et al. 2015), drawn from the
    streams "init/<parameter>". With chrono_steps = T > 0 the biases of the gates start instead as

        b_forget = log(u),  b_input = -log(u),      u uniform in 1..T - 1, from the stream "init/chrono"

    so that a cell forgets in some u steps (Tallec & Ollivier 2018, arXiv 1804.11188, section 2).
    """

    def __init__(
        self,
        n_in: int,
        n_units: int,
        n_out: int,
        streams: Streams,
        dtype: torch.dtype = torch.float32,
        chrono_steps: int = 0,
    ) -> None:
        super().__init__(nn.LSTM(n_in, n_units, batch_first=True, dtype=dtype), n_out, streams)
        bias: Any = (self.layer.bias_ih_l0, self.layer.bias_hh_l0)
        with torch.no_grad():
            if not chrono_steps:
                bias[1][n_units : 2 * n_units] += 1.0
                return
            forget = torch.from_numpy(np.log(streams("init/chrono").uniform(1, chrono_steps - 1, n_units)))
            for gate, start in ((0, -forget), (1, forget)):  # torch's order: input, forget, cell, output
                bias[0][gate * n_units : (gate + 1) * n_units] = start.to(dtype)
                bias[1][gate * n_units : (gate + 1) * n_units] = 0.0


class RNNClassifier(_Recurrent):
    """torch's vanilla RNN, h(t) = tanh(W x(t) + U h(t-1) + b), of n_units units.

    Starts as LSTMClassifier does, but for U, which starts as a random orthogonal matrix (Saxe et al. 2014, arXiv 1312.6120), from the
    stream "init/orthogonal": uniform, it forgets within a few steps, and on `digits` learns next to nothing (models/digits_rnn).
    """

    def __init__(
        self, n_in: int, n_units: int, n_out: int, streams: Streams, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(nn.RNN(n_in, n_units, batch_first=True, dtype=dtype), n_out, streams)
        q, r = np.linalg.qr(streams("init/orthogonal").normal(size=(n_units, n_units)))
        recurrent: Any = self.layer.weight_hh_l0
        with torch.no_grad():  # the signs of r's diagonal make q uniform over all orthogonal matrices
            recurrent.copy_(torch.from_numpy(q * np.sign(np.diag(r))))
