// A normal digit, as a script of its own; `make vendor` puts its files in these places.
import data from "digit-data";
import model from "digit-model";
import sheet from "digit-sheet";

document.currentScript.dispatchEvent(new CustomEvent("demo-part", { detail: { data, sheet, model } }));
