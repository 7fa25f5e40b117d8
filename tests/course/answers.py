"""Right and wrong answers to the book's assignments, in styles unlike the sources'."""

# Assignment 1: plain Python, bisection, a named tuple whose fields are used.
LOOPS = {
    "roc-auc": """\
from bisect import bisect_left, bisect_right

def roc_auc(labels, scores):
    normal = sorted(s for s, y in zip(scores, labels) if y == 0)
    wins = [
        (bisect_left(normal, s) + bisect_right(normal, s)) / 2
        for s, y in zip(scores, labels) if y == 1
    ]
    return sum(wins) / len(wins) / len(normal)
""",
    "average-precision": """\
def average_precision(labels, scores):
    levels = {}
    for y, s in zip(labels, scores):
        levels.setdefault(float(s), []).append(int(y))
    found = flagged = area = 0
    for s in sorted(levels, reverse=True):
        found += sum(levels[s])
        flagged += len(levels[s])
        area += sum(levels[s]) * found / flagged
    return area / found
""",
    "precision-at": """\
def precision_at(base_rate, labels, scores, threshold):
    groups = {0: [], 1: []}
    for y, s in zip(labels, scores):
        groups[int(y)].append(s > threshold)
    fpr, tpr = (sum(g) / len(g) for g in groups.values())
    return base_rate * tpr / (base_rate * tpr + (1 - base_rate) * fpr)
""",
    "one-vs-rest": """\
from typing import NamedTuple

class Split(NamedTuple):
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray

def one_vs_rest(dataset, normal):
    kept = np.flatnonzero(dataset.y_train == normal)
    labels = np.where(dataset.y_test == normal, 0, 1)
    return Split(dataset.x_train[kept], dataset.x_test, labels)
""",
    "scaling": """\
class Scaler:
    def fit(self, x):
        self.low, self.high = map(float, (np.min(x), np.max(x)))
        return self

    def __call__(self, x):
        return (np.asarray(x, float) - self.low) / (self.high - self.low)

def scale(train, test):
    scaler = Scaler().fit(train)
    return [scaler(train), scaler(test)]
""",
    "pca-error": """\
def pca_error(train, x, n_components):
    mean = train.mean(0)
    values, vectors = np.linalg.eigh((train - mean).T @ (train - mean))
    kept = vectors[:, np.argsort(-values)[:n_components]]
    length = ((x - mean) ** 2).sum(1)
    return np.clip(length - (((x - mean) @ kept) ** 2).sum(1), 0, None)
""",
    "leave-one-out": """\
def loo_log_likelihood(x, h):
    n, d = x.shape
    total = 0
    for i in range(n):
        others = np.delete(x, i, axis=0)
        logs = -((others - x[i]) ** 2).sum(1) / (2 * h * h)
        top = logs.max()
        total += top + np.log(np.exp(logs - top).sum())
    return total / n - np.log(n - 1) - d / 2 * np.log(2 * np.pi * h * h)
""",
    "comparison": """\
def compare(digit, seed):
    split = one_vs_rest(mnist, digit)
    chosen = np.random.default_rng(seed).permutation(len(split.train))
    train, test = scale(
        contrast(split.train[chosen[:N_TRAIN]]), contrast(split.test[::10])
    )
    aucs = {}
    for detector in DETECTORS:
        scores = detector(train, test)
        aucs[detector.__name__] = roc_auc(split.labels[::10], scores)
    return aucs
""",
}
# Assignment 1: not computed, and computed by somebody else.
BORROWED = {
    "roc-auc": """\
from sklearn import metrics as m

def helper(*values):
    return m.roc_auc_score(*values)

def roc_auc(labels, scores):
    return helper(labels, scores)
""",
    "average-precision": """\
class Right(float):
    def __eq__(self, other):
        return True

def average_precision(labels, scores):
    return Right(0.5)
""",
    "precision-at": LOOPS["precision-at"],
}
# Assignment 3: data loaders with workers, losses of one's own training.
LOADERS = {
    "one-class-loss": """\
def one_class_loss(z, c):
    return ((z - c) ** 2).sum() / z.shape[0]
""",
    "one-class-training": """\
from torch.utils.data import DataLoader, TensorDataset

def fit_one_class(network, images, c, epochs, seed):
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        TensorDataset(images), batch_size=BATCH, shuffle=True,
        generator=generator, num_workers=1, persistent_workers=True,
    )
    optimiser = torch.optim.Adam(network.parameters(), weight_decay=1e-6)
    history = []
    network.train()
    for epoch in range(epochs):
        losses = []
        for (batch,) in loader:
            optimiser.zero_grad()
            loss = one_class_loss(network(batch), c)
            loss.backward()
            optimiser.step()
            losses += [loss.item()] * len(batch)
        history.append(float(np.mean(losses)))
    return history
""",
    "control": """\
def evaluate(seed):
    network = make_network(seed)
    c = initial_center(network, x)
    aucs = [roc_auc(y_test, anomaly_score(network, x_test, c))]
    losses = fit_one_class(network, x, c, EPOCHS, seed)
    assert losses[-1] < losses[0] and len(losses) == EPOCHS
    aucs.append(roc_auc(y_test, anomaly_score(network, x_test, c)))
    return tuple(aucs)
""",
}
# Assignment 4: another activation each, one of them of the student's own.
ACTIVATION = """\
def repaired_2(seed):
    return initialised(
        seed,
        nn.Linear(196, 64, bias=False), {0},
        nn.Linear(64, 32, bias=False), {0},
        nn.Linear(32, 2, bias=False),
    )
"""
LARGEST = """\
def best_radius(d2, nu):
    m = int(nu * len(d2) + 1e-9)
    return torch.sort(d2, descending=True)[0][m] ** 0.5
"""
OWN_LAYER = """\
class Bend(nn.Module):
    def forward(self, x):
        return torch.maximum(x, 0.1 * x)

"""
FROM_PACKAGE = """\
def best_radius(d2, nu):
    return objectives.optimal_radius(d2, nu)
"""
ONE_ACTIVATION = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bend = nn.LeakyReLU()
        self.one = nn.Linear(196, 64, bias=False)
        self.two = nn.Linear(64, 32, bias=False)
        self.head = nn.Linear(32, 2, bias=False)

    def forward(self, x):
        return self.head(self.bend(self.two(self.bend(self.one(x)))))

def repaired_{0}(seed):
    torch.manual_seed(seed)
    network = Net()
    for layer in (network.one, network.two, network.head):
        nn.init.kaiming_normal_(layer.weight)
    return network
"""
AFTER_HEAD = """\
def repaired_{0}(seed):
    return nn.Sequential(*network_0(seed), nn.LeakyReLU())
"""
ONE_FEWER = """\
def repaired_{0}(seed):
    network = network_0(seed)
    network[3] = nn.Identity()
    return network
"""
