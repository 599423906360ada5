"""Counting, ordering and placing: what introductions do with labels and tables of them."""

import torch

labels = torch.tensor([3, 1, 2, 3, 1, 0])
scores = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
row = torch.tensor([0.5, -1.5, 2.5])
print(torch.unique(labels), torch.unique(labels, return_counts=True), labels.unique(return_inverse=True))
print(torch.bincount(labels), torch.bincount(labels, minlength=6), torch.isin(labels, torch.tensor([1, 2])))
print(torch.histc(scores, bins=4, min=0, max=6), scores.median(), scores.median(dim=1), torch.quantile(scores, 0.25))
print(torch.std_mean(scores), torch.var_mean(scores, dim=1), torch.argwhere(scores > 2))
print(torch.zeros(2, 4).scatter_(1, torch.tensor([[1], [2]]), 1.0), torch.zeros(4).index_add_(0, labels[:3], row))
print(torch.zeros(4).scatter_add_(0, torch.tensor([0, 1, 1]), row), scores.take(torch.tensor([0, -1])))
print(torch.hstack([row, row]), torch.vstack([row, row]), torch.column_stack([row, row]), torch.roll(row, 1))
print(torch.diag(row), torch.diag(scores @ scores.T), torch.trace(scores @ scores.T), torch.tril_indices(3, 3))
print(*torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij"), torch.repeat_interleave(row, 2))
print(torch.einsum("ij,kj->ik", scores, scores), torch.einsum("ij->j", scores))
print(torch.lerp(row, row * 2, 0.5), torch.addcmul(row, row, row, value=2), torch.cross(row, row.flip(0), dim=0))
print(torch.searchsorted(torch.tensor([1.0, 2.0, 3.0]), row), torch.nan_to_num(torch.tensor([float("nan"), 1.0])))
