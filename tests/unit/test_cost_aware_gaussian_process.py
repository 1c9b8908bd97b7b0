"""The Gaussian process, against scikit-learn's with the same kernel."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from nas.search.cost_aware import gaussian_process as gp

GROUPS = np.array([0, 1, 2, 2, 2, 3, 3])
HYPERPARAMETERS = gp.Hyperparameters(np.array([0.2, -0.5, 0.9, 0.4]), -0.3, 0.6, -2.5)


def data(count=30):
    rng = np.random.default_rng(0)
    features = rng.uniform(-1, 1, (count, len(GROUPS)))
    values = 50 + 4 * (features[:, 0] + np.sin(3 * features[:, 1]) * features[:, 2] + rng.normal(0, 0.1, count))
    return features, values


def reference(features, values):
    """The same model by scikit-learn; its features are scaled beforehand."""
    h = HYPERPARAMETERS
    scale = np.exp(-h.lengths)[GROUPS] / np.sqrt(np.bincount(GROUPS))[GROUPS]
    jitter = gp.JITTER * (np.exp(h.linear) + np.exp(h.matern))
    kernel = (
        ConstantKernel(np.exp(h.linear)) * DotProduct(0.0)
        + ConstantKernel(np.exp(h.matern)) * Matern(1.0, nu=2.5)
        + WhiteKernel(np.exp(h.noise))
    )
    model = GaussianProcessRegressor(kernel, alpha=jitter, optimizer=None)
    return model.fit(features * scale, (values - values.mean()) / values.std()), scale


def test_mean_and_deviation_are_those_of_scikit_learn():
    features, values = data()
    model, scale = reference(features, values)
    new = np.random.default_rng(1).uniform(-1.5, 1.5, (600, len(GROUPS)))
    mean, std = model.predict(new * scale, return_std=True)
    std = np.sqrt(std**2 - np.exp(HYPERPARAMETERS.noise))  # scikit-learn's contains the noise
    found = gp.GaussianProcess(features, values, GROUPS, HYPERPARAMETERS).predict(new)
    assert found[0] == pytest.approx(values.mean() + values.std() * mean, rel=1e-9)
    assert found[1] == pytest.approx(values.std() * std, rel=1e-6)


def test_a_value_left_out_is_foretold_by_the_others():
    features, values = data()
    found = gp.GaussianProcess(features, values, GROUPS, HYPERPARAMETERS).left_out()
    for index in (0, 7, 29):
        others = np.arange(len(values)) != index
        model, scale = reference(features[others], values[others])
        # Standardised as all of them are, by which the model's prior is meant
        model.fit(features[others] * scale, (values[others] - values.mean()) / values.std())
        foretold = model.predict(features[[index]] * scale)[0]
        assert found[index] == pytest.approx(values.mean() + values.std() * foretold, rel=1e-6)


def test_what_is_minimised_is_the_likelihood_of_scikit_learn_and_the_prior():
    features, values = data()
    model, _ = reference(features, values)
    h = HYPERPARAMETERS
    packed = np.array([*h.lengths, h.linear, h.matern, h.noise])
    prior = gp._prior(4)
    by_group = gp._by_group(features, GROUPS, 4)
    found, _ = gp._negative_log_posterior(packed, *by_group, (values - values.mean()) / values.std(), prior)
    away = ((packed - prior[0]) / prior[1]) ** 2 / 2
    likelihood = model.log_marginal_likelihood_value_ + len(values) / 2 * np.log(2 * np.pi)
    assert found == pytest.approx(-likelihood + away.sum(), rel=1e-9)


def test_the_gradient_is_the_slope():
    features, values = data()
    standardised = (values - values.mean()) / values.std()
    by_group, prior = gp._by_group(features, GROUPS, 4), gp._prior(4)
    packed = prior[0] + np.random.default_rng(2).normal(0, 0.5, 7)
    _, gradient = gp._negative_log_posterior(packed, *by_group, standardised, prior)
    slope = approx_fprime(packed, lambda p: gp._negative_log_posterior(p, *by_group, standardised, prior)[0], 1e-6)
    assert gradient == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_a_fit_finds_which_choices_matter_and_how_noisy_values_are():
    features, values = data(120)
    fitted = gp.fit(features, (values - values.mean()) / values.std(), GROUPS)
    assert fitted.lengths[3] > fitted.lengths[:2].max()
    noise = np.exp(fitted.noise / 2) * values.std() / 4
    assert 0.05 < noise < 0.2  # 0.1 was added


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0]])
def test_one_value_or_equal_ones_are_a_model_too(values):
    features = np.random.default_rng(0).uniform(-1, 1, (len(values), len(GROUPS)))
    process = gp.GaussianProcess(features, np.array(values), GROUPS, gp.fit(features, np.zeros(len(values)), GROUPS))
    mean, std = process.predict(features)
    assert mean == pytest.approx(np.full(len(values), 3.0))
    assert np.isfinite(std).all()
