"""The mutation model as Pyro declares it, beside what the sampler and the gates' optimiser do with it."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import betaln
from scipy.stats import beta

from haemosynth.modalities.genomic.generators import dirichlet_process
from haemosynth.modalities.genomic.generators.gibbs import collapsed_gibbs
from haemosynth.modalities.genomic.generators.mixture import Mixture, _fit_gate

STRENGTHS = np.array([1.0, 4.0, 16.0])


@pytest.fixture(autouse=True)
def double_precision():
    """The declared model in double precision, as the sampler has it."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def two_classes(n, events, rng):
    """(n, events) 0 or 1 of two classes that overlap, and which entries are known: nine in ten."""
    frequency = np.where(np.arange(events) % 2 == np.arange(2)[:, None], 0.7, 0.15)
    return (rng.random((n, events)) < frequency[rng.integers(2, size=n)]).astype(float), rng.random((n, events)) < 0.9


def arguments(events, known, base, design, classes, ridge=1.0):
    import torch

    tensors = [torch.as_tensor(table) for table in (events, known, design, base)]
    return tensors, {"classes": classes, "gate_ridge": ridge, "strengths": torch.as_tensor(STRENGTHS)}


def log_evidence(events, known, base, z, strength, alpha, rng):
    """log p(alpha, strengths, z, events) as declared: the joint density over the posterior of sticks and frequencies.

    Chib, J Am Stat Assoc 1995;90:1313: the ratio is the same at every point.
    """
    import pyro
    import torch

    classes = z.max() + 2
    size, one_hot = np.bincount(z, minlength=classes), np.eye(classes)[z]
    a, b = 1.0 + size[:-1], alpha + size[::-1].cumsum()[::-1][1:]
    prior = STRENGTHS[strength]
    p = prior * base + one_hot.T @ (events * known)
    q = prior * (1 - base) + one_hot.T @ ((1 - events) * known)
    stick, frequency = (rng.beta(*shape).clip(1e-6, 1 - 1e-6) for shape in ((a, b), (p, q)))
    state = {"alpha": alpha, "stick": stick, "strength": strength, "frequency": frequency, "class": z}
    data = {name: torch.as_tensor(value) for name, value in state.items()}
    args, others = arguments(events, known, base, np.zeros((len(events), 0)), int(classes))
    trace = pyro.poutine.trace(pyro.condition(dirichlet_process.model, data=data)).get_trace(*args, **others)
    return float(trace.log_prob_sum()) - beta.logpdf(stick, a, b).sum() - beta.logpdf(frequency, p, q).sum()


def over_labels(size, alpha):
    """log of the probability that endless sticks part patients into classes of these sizes, whatever their labels.

    Stick by stick: a stick is empty with probability alpha / (alpha + patients left), or holds one of the classes.
    """

    def probability(left):
        if not left:
            return 1.0
        n = sum(size[k] for k in left)
        held = [np.exp(betaln(1 + size[k], alpha + n - size[k]) - betaln(1, alpha)) for k in left]
        return sum(h * probability(left - {k}) for k, h in zip(left, held, strict=True)) / (1 - alpha / (alpha + n))

    return np.log(probability(frozenset(range(len(size)))))


def test_the_sampler_weighs_states_as_the_declared_density_does():
    """Log densities of partition, strengths and alpha, summed over labels, differ between states alike to 1e-6."""
    rng = np.random.default_rng(0)
    events, known = two_classes(9, 3, rng)
    base = np.array([0.4, 0.3, 0.5])
    draws = collapsed_gibbs(
        np.where(known, events, -1), base, strengths=STRENGTHS, sweeps=40, burn_in=0, draws=40, max_classes=9, seed=2
    )
    declared = []
    for partition, chosen, alpha in zip(draws.assignment, draws.strength, draws.alpha, strict=True):
        z = pd.factorize(partition)[0]
        size = np.bincount(z)
        labelled = betaln(1 + size, alpha + size[::-1].cumsum()[::-1] - size).sum() - len(size) * betaln(1, alpha)
        value = log_evidence(events, known, base, z, np.searchsorted(STRENGTHS, chosen), alpha, rng)
        declared.append(value - labelled + over_labels(size, alpha))
    sampled = draws.trace[:, 1]
    assert np.ptp(sampled) > 3
    assert len({tuple(state) for state in draws.strength}) > 5
    np.testing.assert_allclose(np.array(declared) - declared[0], sampled - sampled[0], atol=1e-6)


def test_gates_are_the_mode_of_the_declared_density_given_the_classes():
    """What the record says of class weights, classes of patients summed out by Pyro."""
    import pyro
    import torch
    from pyro.infer.mcmc.util import initialize_model

    rng = np.random.default_rng(1)
    events, known = two_classes(150, 6, rng)
    design = np.column_stack([events[:, 0] - 0.5 + rng.normal(size=150), rng.normal(size=150)])
    stick = np.array([0.5, 0.6])
    frequency = np.vstack([np.tile([0.7, 0.15], 3), np.tile([0.15, 0.7], 3), np.full(6, 0.4)])
    fixed = {"alpha": 1.0, "stick": stick, "strength": [1] * 6, "frequency": frequency}
    given = pyro.condition(
        dirichlet_process.model, data={name: torch.as_tensor(value) for name, value in fixed.items()}
    )
    args, others = arguments(events, known, np.full(6, 0.4), design, 3, ridge=5.0)
    _, potential, _, _ = initialize_model(given, tuple(args), others)

    def loss(flat):
        effect = torch.tensor(flat.reshape(3, 3), requires_grad=True)
        value = potential({"shift": effect[0], "gate": effect[1:].T})
        return float(value.detach()), torch.autograd.grad(value, effect)[0].numpy().ravel()

    best = minimize(loss, np.zeros(9), jac=True, method="BFGS").x.reshape(3, 3)
    weight = np.log([0.5, 0.5 * 0.6, 0.5 * 0.4])
    part = Mixture(np.zeros(3, dtype=int), weight, frequency, np.zeros((0, 3)))
    found = _fit_gate(part, np.where(known, events, np.nan), design, 5.0)
    assert np.abs(best[1:]).max() > 0.3
    np.testing.assert_allclose(found.gate, best[1:], atol=2e-3)
    np.testing.assert_allclose(found.log_weight - weight, best[0], atol=2e-3)


def described(weight, frequency, held_out):
    """What a mixture says of a patient, whatever its labels.

    Args:
        weight: (draws, classes). frequency: (draws, classes, events). held_out: (patients, events) 0 or 1.

    Returns:
        (draws, quantities): frequency of each event, of each pair together, probability of each held-out patient.
    """
    pairs = np.triu_indices(frequency.shape[2], 1)
    single = np.einsum("dk,dkg->dg", weight, frequency)
    together = np.einsum("dk,dkg,dkh->dgh", weight, frequency, frequency)[:, pairs[0], pairs[1]]
    likelihood = np.where(held_out[:, None, None, :] == 1, frequency, 1 - frequency).prod(axis=3)
    return np.hstack([single, together, np.einsum("dk,pdk->dp", weight, likelihood)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_the_no_u_turn_sampler_on_the_declared_model_agrees_with_the_gibbs_sampler():
    """Posterior means that depend on no label; the stick is cut where little of it is left.

    Pyro sums classes of patients and strengths of events out, and draws alpha, sticks and frequencies.
    """
    import pyro
    import torch
    from pyro.infer import MCMC, NUTS
    from pyro.infer.autoguide import init_to_value
    from pyro.ops.stats import effective_sample_size

    rng = np.random.default_rng(0)
    everyone, all_known = two_classes(70, 4, rng)
    events, known, held_out = everyone[:60], all_known[:60], everyone[60:]
    base, classes, count = ((events * known).sum(axis=0) + 0.5) / (known.sum(axis=0) + 1.0), 12, 300
    gibbs = collapsed_gibbs(
        np.where(known, events, -1), base, strengths=STRENGTHS, sweeps=11_000, burn_in=1_000, draws=10_000,
        max_classes=30, seed=1,
    )  # fmt: skip
    sizes = np.column_stack([gibbs.sizes, gibbs.alpha])  # the last class stands for those not opened
    prior = gibbs.strength[:, None, :]
    frequency = (gibbs.ones + prior * base) / (gibbs.seen + prior)
    frequency = np.concatenate([frequency, np.broadcast_to(base, (len(sizes), 1, 4))], axis=1)
    ours = described(sizes / sizes.sum(axis=1, keepdims=True), frequency, held_out)

    pyro.set_rng_seed(0)
    # Frequencies start somewhere: their shape must not be that of the strengths that are summed out.
    start = {"alpha": 1.0, "stick": np.full(classes - 1, 0.4), "frequency": rng.uniform(0.2, 0.8, (classes, 4))}
    values = {name: torch.as_tensor(value) for name, value in start.items()}
    kernel = NUTS(
        dirichlet_process.model,
        init_strategy=init_to_value(values=values),
        max_tree_depth=5,
        jit_compile=True,
        ignore_jit_warnings=True,
    )
    chain = MCMC(kernel, num_samples=count, warmup_steps=80, disable_progbar=True)
    args, others = arguments(events, known, base, np.zeros((60, 0)), classes)
    chain.run(*args, **others)
    drawn = {name: table.numpy() for name, table in chain.get_samples().items()}
    rest = np.column_stack([np.ones(count), np.cumprod(1 - drawn["stick"], axis=1)])
    weight = rest * np.column_stack([drawn["stick"], np.ones(count)])
    theirs = described(weight, drawn["frequency"], held_out)

    ours = np.column_stack([ours, np.log(gibbs.alpha)])
    theirs = np.column_stack([theirs, np.log(drawn["alpha"])])
    error = [
        table.std(axis=0) / np.sqrt(effective_sample_size(torch.as_tensor(table.copy())[None]).numpy())
        for table in (ours[::20], theirs)
    ]
    error = np.hypot(*error)
    assert error[:10].max() < 0.015  # the comparison can see differences of a few per cent
    gap = (theirs.mean(axis=0) - ours.mean(axis=0)) / error
    assert np.abs(gap).max() < 4, gap.round(1)
    # log probability of all held-out patients, each from the mean over draws
    total = [np.log(table[:, 10:-1].mean(axis=0)).sum() for table in (ours, theirs)]
    assert total[0] == pytest.approx(total[1], abs=4 * np.sqrt((error[10:-1] / ours[:, 10:-1].mean(axis=0)) ** 2).sum())
