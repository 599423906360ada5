import torch
from torch.utils.data import Dataset, DataLoader, random_split, TensorDataset, Subset, ConcatDataset
torch.manual_seed(1)
class SquaresDataset(Dataset):
    def __init__(self, n, transform=None, target_transform=None):
        self.x = torch.arange(n, dtype=torch.float32).view(-1, 1)
        self.y = self.x ** 2
        self.transform = transform
    def __len__(self):
        return len(self.x)
    def __getitem__(self, idx):
        s = self.x[idx]
        if self.transform: s = self.transform(s)
        return s, self.y[idx]
ds = SquaresDataset(10, transform=lambda v: v / 10)
print(len(ds), ds[3])
dl = DataLoader(ds, batch_size=4, shuffle=True)
for i, (x, y) in enumerate(dl): print(i, x.squeeze().tolist(), y.flatten())
x, y = next(iter(dl))
print(f"Feature batch shape: {x.size()}")
print(f"Labels batch shape: {y.size()}")
train, test = random_split(ds, [7, 3], generator=torch.Generator().manual_seed(42))
print(train.indices, test.indices, len(train))
a, b = random_split(range(10), [0.3, 0.7])
print(list(a), list(b))
print(len(dl), dl.batch_size, dl.dataset is ds)
class D(Dataset):
    def __len__(self): return 3
    def __getitem__(self, i): return {"x": torch.tensor([i, i]), "y": i, "name": f"n{i}", "z": float(i), "w": [i, i + 1]}
for b in DataLoader(D(), batch_size=2): print(b)
for b in DataLoader(D(), batch_size=2, drop_last=True): print(b)
for b in DataLoader(D(), batch_size=2, collate_fn=lambda items: [i["y"] for i in items]): print(b)
for b in DataLoader(ConcatDataset([ds, ds]), batch_size=15): print(b[0].shape)
for b in DataLoader(Subset(ds, [1, 2])): print(b)
for b in DataLoader([1, 2, 3], batch_size=2): print(b)
for b in DataLoader([(1, 2.0), (3, 4.0)], batch_size=2): print(b)
import numpy as np
for b in DataLoader(np.arange(6).reshape(3, 2), batch_size=2): print(b)
print(dl)if False else None
