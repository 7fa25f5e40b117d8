"""The paper's Section 4.3: whether adversarial examples are anomalies to Deep SVDD.

Touch it to try another classifier, attack, or detector in the attacker's hand.

============ =======================================================================
module       holds
============ =======================================================================
classifier   the small network that the attacks deceive
attacks      the Boundary Attack, which only asks; attacks by gradient
examples     sets of adversarial examples of one class, made, saved, loaded
experiment   detectors trained on the class, and tested on the examples
============ =======================================================================
"""
