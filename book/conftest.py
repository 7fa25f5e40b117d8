"""Skip, with the reason, the cells whose data are not on this computer.

A cell tagged ``needs-data`` uses Fashion-MNIST or CIFAR-10. Its committed outputs are
real; where the data sets are absent they cannot be compared.
"""

import pytest
from run import missing_data, needs_data


def pytest_collection_modifyitems(items):
    cells = [item for item in items if hasattr(item, "cell") and needs_data(item.cell)]
    if cells and (reason := missing_data()):
        for cell in cells:
            cell.add_marker(pytest.mark.skip(reason=reason))
