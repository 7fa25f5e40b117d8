"""The paper's Section 4.3: whether adversarial examples are anomalies to Deep SVDD.

Touch it to try another classifier or attack, or an attacker who knows the detector.

============ =======================================================================
module       holds
============ =======================================================================
classifier   the small network that the attacks deceive
attacks      the Boundary Attack (foolbox's), which sees decisions; gradient attacks
examples     sets of adversarial examples of one class, made, saved, loaded
experiment   detectors trained on the class, and tested on the examples
============ =======================================================================
"""
