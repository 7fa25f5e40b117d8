"""Deep SVDD as it is usually written: what the package is compared with.

Nothing here is slow on purpose. One image at a time goes through Pillow and
torchvision's transforms, in every epoch anew; layers stand in the textbook's order; the
loop asks for the loss after every batch. Nothing of it comes from the package.

Axis letters: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

BATCH_SIZE = 200


def contrast_normalized(x: Tensor) -> Tensor:
    """Global contrast normalization of one image (1, H, W), by its mean deviation."""
    x = x - x.mean()
    return x / x.abs().mean()


class Images(Dataset):
    """Images as torchvision's data sets serve them: (image, label).

    Parameters
    ----------
    images : uint8 array (n, C, H, W)
    labels : int array (n,)
    low, high : float
        Extrema of the normal training data after contrast normalization.
    """

    def __init__(
        self, images: NDArray, labels: NDArray, low: float, high: float
    ) -> None:
        self.images, self.labels = images, labels
        channels = images.shape[1]
        self.transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.Lambda(contrast_normalized),
                transforms.Normalize([low] * channels, [high - low] * channels),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.images[index].transpose(1, 2, 0)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return self.transform(image), int(self.labels[index])


def train_loader(images: Images) -> DataLoader:
    return DataLoader(images, batch_size=BATCH_SIZE, shuffle=True, num_workers=0)


def test_loader(images: Images) -> DataLoader:
    return DataLoader(images, batch_size=BATCH_SIZE, shuffle=False, num_workers=0)


class LeNet(nn.Module):
    """The paper's encoder for MNIST."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(8, eps=1e-4, affine=False)
        self.conv2 = nn.Conv2d(8, 4, 5, padding=2, bias=False)
        self.norm2 = nn.BatchNorm2d(4, eps=1e-4, affine=False)
        self.head = nn.Linear(4 * 7 * 7, 32, bias=False)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1, 28, 28) to representations (B, 32)."""
        x = self.pool(F.leaky_relu(self.norm1(self.conv1(x))))  # (B, 8, 14, 14)
        x = self.pool(F.leaky_relu(self.norm2(self.conv2(x))))  # (B, 4, 7, 7)
        return self.head(x.flatten(1))


class Decoder(nn.Module):
    """Its mirror: nearest up-sampling and transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(2, 4, 5, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(4, eps=1e-4, affine=False)
        self.conv2 = nn.ConvTranspose2d(4, 8, 5, padding=3, bias=False)
        self.norm2 = nn.BatchNorm2d(8, eps=1e-4, affine=False)
        self.conv3 = nn.ConvTranspose2d(8, 1, 5, padding=2, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Map representations (B, 32) to images (B, 1, 28, 28) in [0, 1]."""
        x = F.leaky_relu(z.view(-1, 2, 4, 4))
        x = self.norm1(self.conv1(F.interpolate(x, scale_factor=2)))  # (B, 4, 8, 8)
        x = F.leaky_relu(x)
        x = self.norm2(self.conv2(F.interpolate(x, scale_factor=2)))  # (B, 8, 14, 14)
        x = F.leaky_relu(x)
        return torch.sigmoid(self.conv3(F.interpolate(x, scale_factor=2)))


class ColourLeNet(nn.Module):
    """The paper's encoder for CIFAR-10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(32, eps=1e-4, affine=False)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2, bias=False)
        self.norm2 = nn.BatchNorm2d(64, eps=1e-4, affine=False)
        self.conv3 = nn.Conv2d(64, 128, 5, padding=2, bias=False)
        self.norm3 = nn.BatchNorm2d(128, eps=1e-4, affine=False)
        self.head = nn.Linear(128 * 4 * 4, 128, bias=False)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, 32, 32) to representations (B, 128)."""
        x = self.pool(F.leaky_relu(self.norm1(self.conv1(x))))  # (B, 32, 16, 16)
        x = self.pool(F.leaky_relu(self.norm2(self.conv2(x))))  # (B, 64, 8, 8)
        x = self.pool(F.leaky_relu(self.norm3(self.conv3(x))))  # (B, 128, 4, 4)
        return self.head(x.flatten(1))


class ColourDecoder(nn.Module):
    """Its mirror, after a normalization of the code."""

    def __init__(self) -> None:
        super().__init__()
        self.code_norm = nn.BatchNorm1d(128, eps=1e-4, affine=False)
        self.conv1 = nn.ConvTranspose2d(8, 128, 5, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(128, eps=1e-4, affine=False)
        self.conv2 = nn.ConvTranspose2d(128, 64, 5, padding=2, bias=False)
        self.norm2 = nn.BatchNorm2d(64, eps=1e-4, affine=False)
        self.conv3 = nn.ConvTranspose2d(64, 32, 5, padding=2, bias=False)
        self.norm3 = nn.BatchNorm2d(32, eps=1e-4, affine=False)
        self.conv4 = nn.ConvTranspose2d(32, 3, 5, padding=2, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Map representations (B, 128) to images (B, 3, 32, 32) in [0, 1]."""
        x = F.leaky_relu(self.code_norm(z).view(-1, 8, 4, 4))
        x = F.leaky_relu(self.norm1(self.conv1(x)))
        x = self.norm2(self.conv2(F.interpolate(x, scale_factor=2)))  # (B, 64, 8, 8)
        x = F.leaky_relu(x)
        x = self.norm3(self.conv3(F.interpolate(x, scale_factor=2)))  # (B, 32, 16, 16)
        x = F.leaky_relu(x)
        return torch.sigmoid(self.conv4(F.interpolate(x, scale_factor=2)))


class Autoencoder(nn.Module):
    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        grey = channels == 1
        self.encoder: nn.Module = LeNet() if grey else ColourLeNet()
        self.decoder: nn.Module = Decoder() if grey else ColourDecoder()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def reconstruction_loss(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Squared error summed over an image, mean over the batch."""
    return torch.sum((outputs - inputs) ** 2, dim=(1, 2, 3)).mean()


def autoencoder_epoch(
    network: nn.Module,
    loader: DataLoader,
    optimizer: Adam,
    schedule: LRScheduler | None = None,
) -> float:
    """Train for one epoch; return the mean loss of its batches."""
    network.train()
    total = 0.0
    for inputs, _ in loader:
        optimizer.zero_grad()
        loss = reconstruction_loss(network(inputs), inputs)
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        total += loss.item()
    return total / len(loader)


def initial_center(network: nn.Module, loader: DataLoader, eps: float = 0.1) -> Tensor:
    """Mean representation (32,) of the training data, no coordinate near zero."""
    network.eval()
    with torch.no_grad():
        center = torch.cat([network(inputs) for inputs, _ in loader]).mean(dim=0)
    center[(center.abs() < eps) & (center < 0)] = -eps
    center[(center.abs() < eps) & (center >= 0)] = eps
    return center


def svdd_epoch(
    network: nn.Module,
    center: Tensor,
    loader: DataLoader,
    optimizer: Adam,
    schedule: LRScheduler | None = None,
) -> float:
    """Train on the one-class objective for one epoch; return the mean loss."""
    network.train()
    total = 0.0
    for inputs, _ in loader:
        optimizer.zero_grad()
        loss = torch.sum((network(inputs) - center) ** 2, dim=1).mean()
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        total += loss.item()
    return total / len(loader)


def score(
    network: nn.Module, center: Tensor, loader: DataLoader
) -> tuple[NDArray, NDArray]:
    """Return labels and squared distances to the center, both (n,)."""
    network.eval()
    pairs: list[tuple[int, float]] = []
    with torch.no_grad():
        for inputs, labels in loader:
            distances = torch.sum((network(inputs) - center) ** 2, dim=1)
            pairs += zip(labels.tolist(), distances.tolist(), strict=True)
    labels, scores = zip(*pairs, strict=True)
    return np.array(labels), np.array(scores)
