import torch
from torch import nn
torch.manual_seed(0)
class AE(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 9))
        self.decoder = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())
    def forward(self, x):
        encoded = self.encoder(x)
        return self.decoder(encoded)
model = AE()
print(model)
opt = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-8)
data = torch.rand(100, 64)
best, patience, wait = float('inf'), 3, 0
for epoch in range(30):
    out = model(data)
    loss = nn.functional.mse_loss(out, data)
    opt.zero_grad(); loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    opt.step()
    if loss.item() < best - 1e-4: best, wait = loss.item(), 0
    else: wait += 1
    if epoch % 5 == 0: print(f"epoch {epoch} loss {loss.item():.5f} best {best:.5f}")
    if wait >= patience: print('early stop', epoch); break
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 40); self.fc21 = nn.Linear(40, 2); self.fc22 = nn.Linear(40, 2); self.fc3 = nn.Linear(2, 40); self.fc4 = nn.Linear(40, 64)
    def forward(self, x):
        h = torch.relu(self.fc1(x.view(-1, 64)))
        mu, logvar = self.fc21(h), self.fc22(h)
        std = torch.exp(0.5*logvar); eps = torch.randn_like(std)
        z = mu + eps*std
        return torch.sigmoid(self.fc4(torch.relu(self.fc3(z)))), mu, logvar
m = VAE(); opt = torch.optim.Adam(m.parameters(), lr=1e-3)
for i in range(5):
    r, mu, lv = m(data)
    BCE = nn.functional.binary_cross_entropy(r, data, reduction='sum')
    KLD = -0.5 * torch.sum(1 + lv - mu.pow(2) - lv.exp())
    loss = BCE + KLD
    opt.zero_grad(); loss.backward(); opt.step()
    print(f'{loss.item() / len(data):.4f} {KLD.item():.4f}')
