"""Leading eigenpairs of the random walk on a graph, and its diffusion map."""

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh, qr

from .graph import EXACT_SEARCH_LIMIT, local_order

# largest matrix whose spectrum is computed densely, in about a second
_DENSE_LIMIT = 1500
# of the subspace iteration on one level: what has not converged then lies among eigenvalues that are nearly equal
_MAX_SWEEPS = 6


def leading_eigenpairs(W, n_eigenpairs, random_state):
    """Largest eigenvalues of the Markov operator P = D^-1 W and its right eigenvectors psi.

    The eigenvectors are normalised by the stationary distribution pi = d / sum(d): sum_x pi(x) psi_l(x)^2 = 1.
    They come from the symmetric S = D^-1/2 W D^-1/2, coarse to fine: points are merged into aggregates until the
    spectrum can be computed densely; going back, each level starts from the eigenvectors of the coarser one and
    sharpens them by filtered subspace iteration. Its cost is linear in the edges however small the spectral gaps are,
    where Krylov methods stall on nearly disconnected graphs.

    Parameters
    ----------
    W : csr_array of shape (n_samples, n_samples)
    n_eigenpairs : int
    random_state : RandomState instance

    Returns
    -------
    eigenvalues : ndarray of shape (n_eigenpairs,)
        Falling from 1.
    eigenvectors : ndarray of shape (n_samples, n_eigenpairs)
        Their largest entry by magnitude is positive.
    """
    W, order = local_order(W)
    # norm of the residuals S v - lambda v; eigenvalues err by its square
    tol, dtype = (1e-5, np.float64) if W.shape[0] <= EXACT_SEARCH_LIMIT else (1e-3, np.float32)
    W = W.astype(dtype)
    degrees = W.sum(axis=1)
    # a few more than asked for: the last vectors of a subspace converge slowly
    eigenvalues, V = _leading_subspace(W, n_eigenpairs, n_eigenpairs + 10, tol, random_state)
    psi = V[:, :n_eigenpairs] * np.sqrt(degrees.sum() / degrees)[:, None]
    psi *= np.sign(psi[np.abs(psi).argmax(axis=0), np.arange(psi.shape[1])])
    return eigenvalues[:n_eigenpairs], psi[np.argsort(order)]


def _leading_subspace(W, n_wanted, n_vectors, tol, random_state):
    roots = np.sqrt(W.sum(axis=1))
    S = (sp.diags_array(1 / roots) @ W @ sp.diags_array(1 / roots)).tocsr()
    n = W.shape[0]
    if n <= _DENSE_LIMIT:
        eigenvalues, V = eigh(S.toarray(), subset_by_index=[max(n - n_vectors, 0), n - 1])
        return eigenvalues[::-1], V[:, ::-1]
    merge = _aggregate(W, random_state)
    if merge.shape[1] == n:
        # no two points share an edge: S is the identity, any vectors are its eigenvectors
        return np.ones(n_vectors), qr(random_state.normal(size=(n, n_vectors)), mode="economic")[0]
    eigenvalues, V = _leading_subspace((merge.T @ W @ merge).tocsr(), n_wanted, n_vectors, tol, random_state)
    V = roots[:, None] * (merge @ (V / np.sqrt(merge.T @ roots**2)[:, None]))
    # where there are fewer aggregates than vectors, the others start at random
    V = np.column_stack([V, random_state.normal(size=(n, min(n, n_vectors) - V.shape[1]))])
    for _ in range(_MAX_SWEEPS):
        V = _chebyshev_filter(S, V, cut=eigenvalues[-1])
        eigenvalues, V, residuals = _rayleigh_ritz(S, V)
        if residuals[:n_wanted].max() < tol:
            break
    return eigenvalues, V


def _aggregate(W, random_state):
    """Merge each point with its neighbour of highest random rank, as far as such chains of neighbours lead.

    Returns
    -------
    merge : csr_array of shape (n_samples, n_aggregates)
        1 where a point belongs to an aggregate.
    """
    n = W.shape[0]
    rank = random_state.permutation(n)
    by_rank = np.argsort(rank)
    # every row has an entry; reduceat takes the maximum over each
    highest = np.maximum(np.maximum.reduceat(rank[W.indices], W.indptr[:-1]), rank)
    leader = by_rank[highest]
    seeds = leader == np.arange(n)
    # a point joins a seed next to it, or else follows its leader one step
    reached = np.maximum.reduceat(np.where(seeds, rank, -1)[W.indices], W.indptr[:-1])
    leader = np.where(seeds | (reached < 0), leader, by_rank[reached])
    while not seeds[leader].all():
        leader = leader[leader]
    _, aggregate = np.unique(leader, return_inverse=True)
    return sp.csr_array((np.ones(n, dtype=W.dtype), (np.arange(n), aggregate)))


def _chebyshev_filter(S, V, cut):
    """Chebyshev polynomial of S that stays within [-1, 1] on eigenvalues in [-1, cut] and grows fast above.

    The narrower the gap between ``cut`` and the largest eigenvalue 1, the higher the degree that is needed: here it is
    the one at which the filter reaches 1e6 at 1, so that V keeps its rank, if that is not too costly.
    """
    cut = min(cut, 1 - 1e-6)
    center, half = (cut - 1) / 2, (cut + 1) / 2
    degree = int(np.clip(np.arccosh(1e6) / np.arccosh((1 - center) / half), 4, 40))
    previous, current = V, (S @ V - center * V) / half
    for _ in range(degree - 1):
        previous, current = current, (2 / half) * (S @ current - center * current) - previous
    return current / np.linalg.norm(current, axis=0)


def _rayleigh_ritz(S, V):
    """Best approximate eigenpairs of S within the span of V, falling, and the norms of their residuals."""
    Q, _ = qr(V, mode="economic", overwrite_a=True, check_finite=False)
    SQ = S @ Q
    eigenvalues, U = np.linalg.eigh(Q.T @ SQ)
    eigenvalues, U = eigenvalues[::-1], U[:, ::-1]
    V = Q @ U
    return eigenvalues, V, np.linalg.norm(SQ @ U - eigenvalues * V, axis=0)


def diffusion_coordinates(eigenvalues, eigenvectors, time):
    """Diffusion map at a time t: coordinates lambda_l^t psi_l(x), so that D_t is the Euclidean distance between rows.

    D_t(x, y)^2 = sum_l lambda_l^2t (psi_l(x) - psi_l(y))^2.
    """
    return eigenvectors * np.abs(eigenvalues) ** time
