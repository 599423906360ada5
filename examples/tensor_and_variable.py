"""A tensor and its Variable. In old tutorials a Variable is a tensor that autograd watches; today both are Tensors.

Run: minigrad run examples/tensor_and_variable.py
"""

import matplotlib.pyplot as plt
import plots
import torch
from torch.autograd import Variable

tensor = torch.FloatTensor([[1, 2], [3, 4]])
variable = Variable(tensor, requires_grad=True)

print(tensor)
print(variable)
print(variable.data)
print(variable.data.numpy())
print(type(tensor) is type(variable))

x = Variable(torch.linspace(0, 10, 100), requires_grad=True)
y = x + 2
z = torch.mean(y * y)
z.backward()

# dz/dx = 2 y / 100
print(z)
print(x.grad)

plt.plot(x.data.numpy(), (y * y).data.numpy(), label="y^2 = (x + 2)^2")
plt.plot(x.data.numpy(), 100 * x.grad.data.numpy(), label="100 x.grad = 2 (x + 2)")
plt.xlabel("x")
plt.title("The gradient of mean(y^2) is a hundredth of the slope of y^2")
plt.legend()
plots.save("tensor_and_variable")
