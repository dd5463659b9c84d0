"""Let Optuna choose the next trial: accuracy up, energy down, by TPE or NSGA-II.

The study is in memory, and built anew for every proposal from the trials of sweep.json: that file is the only place where a sweep is
kept, and a sweep that is resumed goes on as if it had not stopped. (A study that is kept would not: NSGA-II has parents in one order when
it chooses them, and in another one later.) The sampler of trial k has a seed of its own, from the sweep's seed and k.
Akiba et al. 2019 (Optuna); Ozaki et al. 2020 (TPE of several objectives); Deb et al. 2002 (NSGA-II).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from neuro.errors import UnsupportedError
from neuro.seeds import stream
from neuro.sweep.search import Asked, Trials
from neuro.sweep.space import Axis


class Adaptive:
    """Ask an Optuna study of two objectives.

    Parameters: sampler, "tpe" or "nsga2"; seed; population, of a generation of NSGA-II.
    Raises: UnsupportedError if Optuna is not installed.
    """

    def __init__(self, axes: tuple[Axis, ...], sampler: str, seed: int, population: int) -> None:
        try:
            import optuna
        except ImportError as err:
            raise UnsupportedError(
                f"search '{sampler}': Optuna is not installed (got no package 'optuna'; need optuna >= 4). Install it with: pip install "
                "'neuro[sweep]', or search by grid or random."
            ) from err
        self._optuna, self._seed, self._name, self._population = optuna, seed, sampler, population
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._axes = {axis.name: self._distribution(axis) for axis in axes}

    def ask(self, trials: Trials) -> Asked | None:
        """Ask a study that knows all trials; those that run count as bad ones, so that trials that run at once differ."""
        number = len(trials)
        study = self._optuna.create_study(directions=["maximize", "minimize"], sampler=self._sampler(number))
        for trial in trials:
            study.add_trial(self._known(trial))
        asked = study.ask(self._axes)
        return dict(asked.params), dict(study.trials[number].system_attrs)

    def _sampler(self, number: int) -> Any:
        seed = int(stream(self._seed, f"sweep/{number}").integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna 4 calls constant_liar an experiment
            if self._name == "nsga2":
                return self._optuna.samplers.NSGAIISampler(population_size=self._population, seed=seed)
            return self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)

    def _distribution(self, axis: Axis) -> Any:
        kinds = self._optuna.distributions
        if axis.values:
            return kinds.CategoricalDistribution(axis.values)
        if axis.whole:
            return kinds.IntDistribution(int(axis.low), int(axis.high))
        return kinds.FloatDistribution(axis.low, axis.high, log=axis.log)

    def _known(self, trial: Mapping[str, Any]) -> Any:
        """Return a trial of sweep.json as Optuna's."""
        states = self._optuna.trial.TrialState
        state = {"done": states.COMPLETE, "failed": states.FAIL, "lost": states.FAIL}.get(
            trial["state"], states.RUNNING
        )
        return self._optuna.trial.create_trial(
            state=state,
            values=_objectives(trial) if trial["state"] == "done" else None,
            params=dict(trial["params"]),
            distributions=self._axes,
            system_attrs=dict(trial.get("search", {})),
        )


def _objectives(trial: Mapping[str, Any]) -> list[float]:
    """Return what is made large and what is made small."""
    return [float(trial["accuracy"]), float(trial["energy"]["value"])]
