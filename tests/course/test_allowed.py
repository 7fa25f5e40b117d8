"""Which libraries a task's functions use."""

import pytest

from deepsvdd.course.allowed import foreign

GIVEN = ["import numpy as np\nfrom sklearn.svm import OneClassSVM"]


@pytest.mark.parametrize(
    ("source", "around", "found"),
    [
        ("def f(x):\n    return np.sort(x)", "", []),
        ("import math\ndef f(x):\n    return math.log(x)", "", []),
        ("def f(x):\n    import scipy.stats\n    return scipy.stats.norm", "",
         ["scipy.stats.norm"]),
        ("def f(x):\n    return OneClassSVM()", "", ["sklearn.svm.OneClassSVM"]),
        ("def f(OneClassSVM):\n    return OneClassSVM", "", []),
        ("def f(x):\n    return g(x)", "def g(x):\n    return OneClassSVM()",
         ["sklearn.svm.OneClassSVM"]),
        ("def f(x):\n    return x", "import pandas\npandas.DataFrame()", []),
        ("import sklearn\ndef f(x):\n    return x\nsklearn.show_versions()", "", []),
        ("def f(x:", "", []),
        ("%matplotlib inline\nclass F:\n    svm = OneClassSVM", "",
         ["sklearn.svm.OneClassSVM"]),
    ],
)  # fmt: skip
def test_functions_are_read_with_those_that_they_call(source, around, found):
    assert foreign([source], [around], GIVEN, ["numpy"]) == found
