"""A Gaussian process over grouped features, its hyperparameters at their most probable values.

The covariance of two candidates is a linear part, since most choices mostly add up, and a Matérn-5/2 part over the
same scaled features for what does not; the noise of a value is normal:

    k(x, x') = a · s(x, x') + b · (1 + √5 r + 5/3 r²) exp(-√5 r),    r² = Σ_g |x_g - x'_g|² / (G_g ℓ_g²),
    s(x, x') = Σ_g x_g · x'_g / (G_g ℓ_g²)

with one length scale ℓ_g for each group g of G_g features (Rasmussen and Williams 2006, sections 2.2, 4.2 and 5.4.1).
The length scales' prior grows with the root of the number of groups (Hvarfner, Hellsten and Nardi 2024,
arXiv 2402.02229), so that a model of fifty choices doesn't take every candidate for unrelated to all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when they are first used, which a service's start need not wait for
from numpy.typing import NDArray

from nas.search.cost_aware.candidates import Groups, Rows, Vector

NOISE_PRIOR = (-5.0, 1.0)
"""Mode and width of the log of the noise's variance; values are standardised. The log-normal prior of BoTorch."""
VARIANCE_PRIOR = (0.0, 1.0)
"""The same of the two parts' variances."""
LENGTH_PRIOR_STD = math.sqrt(3.0)
BOUNDS = (-9.0, 7.0)
"""Of every hyperparameter's log."""
STEPS = 60
JITTER = 1e-8
LEAST_VARIANCE = 1e-12
"""Of standardised values; rounding may leave less, and even less than nothing."""
AT_ONCE = 256
"""So many candidates are predicted at once: few enough for the cache."""
_SQRT5 = math.sqrt(5.0)


@dataclass(frozen=True)
class Hyperparameters:
    """Logs of what is fitted; all for standardised values."""

    lengths: Vector
    """(groups,)."""
    linear: float
    matern: float
    noise: float

    @classmethod
    def of(cls, packed: Vector) -> Hyperparameters:
        """Return from one vector (groups + 3,)."""
        return cls(packed[:-3], float(packed[-3]), float(packed[-2]), float(packed[-1]))


def fit(features: Rows, values: Vector, groups: Groups) -> Hyperparameters:
    """Return the most probable hyperparameters for `features` (n, D) and standardised `values` (n,).

    Depends on nothing but its arguments: a fit starts at the prior, not at an earlier fit.
    """
    number = int(groups.max(initial=-1)) + 1
    prior = _prior(number)
    squares, products = _by_group(features, groups, number)
    start = prior[0].copy()
    found = scipy.optimize.minimize(
        _negative_log_posterior,
        start,
        args=(squares, products, values, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=[BOUNDS] * len(start),
        options={"maxiter": STEPS},
    )
    return Hyperparameters.of(found.x)


def _prior(number: int) -> tuple[Vector, Vector]:
    """Return means and standard deviations (groups + 3,)."""
    # Features differ by up to 2, not by up to 1 as in the paper
    length = math.sqrt(2.0) + 0.5 * math.log(max(1, number)) + math.log(2.0) - LENGTH_PRIOR_STD**2
    mean = np.array([*[length] * number, VARIANCE_PRIOR[0], VARIANCE_PRIOR[0], NOISE_PRIOR[0]])
    std = np.array([*[LENGTH_PRIOR_STD] * number, VARIANCE_PRIOR[1], VARIANCE_PRIOR[1], NOISE_PRIOR[1]])
    return mean, std


def _by_group(features: Rows, groups: Groups, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return squared distances and products (groups, n · n), each a mean over the features of its group."""
    n = len(features)
    squares, products = np.empty((number, n, n)), np.empty((number, n, n))
    for group in range(number):
        x = features[:, groups == group]
        product = x @ x.T / x.shape[1]
        square = np.diag(product)
        products[group] = product
        squares[group] = np.maximum(square[:, None] + square - 2 * product, 0.0)
    return squares.reshape(number, -1), products.reshape(number, -1)


def _negative_log_posterior(
    packed: Vector, squares: Rows, products: Rows, values: Vector, prior: tuple[Vector, Vector]
) -> tuple[float, Vector]:
    n = len(values)
    inverse = np.exp(-2 * packed[:-3])
    a, b, noise = np.exp(packed[-3:])
    r = np.sqrt(inverse @ squares)
    decay = np.exp(-_SQRT5 * r)
    matern = (1 + _SQRT5 * r + 5 / 3 * r * r) * decay
    linear = inverse @ products
    covariance = (a * linear + b * matern).reshape(n, n)
    covariance[np.diag_indices(n)] += noise + JITTER * (a + b)
    try:
        factor = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e25, np.zeros_like(packed)
    weights = scipy.linalg.cho_solve((factor, True), values, check_finite=False)
    inverse_covariance = scipy.linalg.cho_solve((factor, True), np.eye(n), check_finite=False)
    # d(-log p)/dθ = 1/2 Σ (K⁻¹ - α αᵀ) ∘ dK/dθ
    outer = (inverse_covariance - np.outer(weights, weights)).reshape(-1)
    slope = outer * (b * 5 / 3 * (1 + _SQRT5 * r) * decay)
    gradient = np.empty_like(packed)
    gradient[:-3] = inverse * (0.5 * (squares @ slope) - a * (products @ outer))
    gradient[-3] = 0.5 * a * (outer @ linear)
    gradient[-2] = 0.5 * b * (outer @ matern)
    gradient[-1] = 0.5 * noise * float(np.trace(outer.reshape(n, n)))
    value = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
    z = (packed - prior[0]) / prior[1]
    return value + 0.5 * float(z @ z), gradient + z / prior[1]


class GaussianProcess:
    """The posterior given values, for fixed hyperparameters. Values are in their own unit."""

    def __init__(self, features: Rows, values: Vector, groups: Groups, hyperparameters: Hyperparameters) -> None:
        """Condition on `features` (n, D) and `values` (n,), n ≥ 1."""
        self.size = len(features)
        self._values = values
        self.mean, self.std = standards(values)
        self._groups, self._h = groups, hyperparameters
        counts = np.bincount(groups, minlength=len(hyperparameters.lengths))
        self._scale = np.exp(-hyperparameters.lengths)[groups] / np.sqrt(counts)[groups]
        self._a, self._b = math.exp(hyperparameters.linear), math.exp(hyperparameters.matern)
        self._noise = math.exp(hyperparameters.noise)
        self._x = features * self._scale
        covariance = self._covariance(self._x, self._x)
        covariance[np.diag_indices(len(features))] += self._noise + JITTER * (self._a + self._b)
        self._factor = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
        self._weights = scipy.linalg.cho_solve(
            (self._factor, True), (values - self.mean) / self.std, check_finite=False
        )

    def predict(self, features: Rows) -> tuple[Vector, Vector]:
        """Return mean and standard deviation (N,) of the value without its noise."""
        mean, variance = np.empty(len(features)), np.empty(len(features))
        for start in range(0, len(features), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            x = features[part] * self._scale
            cross = self._covariance(self._x, x)  # (n, N)
            mean[part] = self._weights @ cross
            solved = scipy.linalg.solve_triangular(
                self._factor, cross, lower=True, overwrite_b=True, check_finite=False
            )
            prior = self._a * np.einsum("ij,ij->i", x, x) + self._b
            variance[part] = prior - np.einsum("ij,ij->j", solved, solved)
        return self.mean + self.std * mean, self.std * np.sqrt(np.maximum(variance, LEAST_VARIANCE))

    def left_out(self) -> Vector:
        """Return what the others say of each value (n,), it left out (Rasmussen and Williams 2006, section 5.4.2)."""
        inverse = scipy.linalg.cho_solve((self._factor, True), np.eye(self.size), check_finite=False)
        return np.asarray(self._values - self.std * self._weights / np.diag(inverse))

    def _covariance(self, x: Rows, y: Rows) -> Rows:
        """Return (n, N) in column-major order, as LAPACK wants it; in few arrays, being most of the work."""
        product = (y @ x.T).T
        r = -2.0 * product
        r += np.einsum("ij,ij->i", x, x)[:, None]
        r += np.einsum("ij,ij->i", y, y)
        np.maximum(r, 0.0, out=r)
        np.sqrt(r, out=r)
        r *= _SQRT5
        matern = r / 3
        matern += 1
        matern *= r
        matern += 1
        np.negative(r, out=r)
        np.exp(r, out=r)
        matern *= r
        matern *= self._b
        product *= self._a
        product += matern
        return product


def standards(values: Vector) -> tuple[float, float]:
    """Return mean and standard deviation by which values (n,) are standardised; 1 where they are all alike."""
    middle = float(
        (values / len(values)).sum()
    )  # a sum of very large values would overflow, and so would their squares
    largest = float(np.abs(values - middle).max())
    if largest <= 1e-12 * max(1.0, abs(middle)):
        return middle, 1.0
    return middle, largest * float(((values - middle) / largest).std())
