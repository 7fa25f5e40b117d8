// A demo's settings in the page's address, so that a link leads to them.
//
// A setting `pi` of the demo `roc` is the parameter `roc.pi`. What is as it was at the
// start is left out, so that the address of an untouched page stays as it is.

/** Read settings from a query: those that are there, and that `parse` understands. */
export function read(query, name, defaults, parse = {}) {
  const given = new URLSearchParams(query);
  const found = { ...defaults };
  for (const [key, usual] of Object.entries(defaults)) {
    const text = given.get(`${name}.${key}`);
    if (text === null) continue;
    const value = (parse[key] ?? (typeof usual === "number" ? finite : String))(text);
    if (value !== null) found[key] = value;
  }
  return found;
}

function finite(text) {
  const number = Number(text);
  return text.trim() !== "" && Number.isFinite(number) ? number : null;
}

/** Write settings into a query, beside the parameters of others. */
export function write(query, name, defaults, values, format = {}) {
  const next = new URLSearchParams(query);
  for (const [key, usual] of Object.entries(defaults)) {
    const text = (format[key] ?? plain)(values[key]);
    if (text === (format[key] ?? plain)(usual)) next.delete(`${name}.${key}`);
    else next.set(`${name}.${key}`, text);
  }
  const written = next.toString();
  return written ? `?${written}` : "";
}

const plain = (value) =>
  typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);

/** Keep a number within its limits. */
export const within = (low, high) => (text) => {
  const value = finite(text);
  return value === null ? null : Math.min(Math.max(value, low), high);
};

/** Take a text if it is one of those that are known. */
export const oneOf = (known) => (text) => (known.includes(text) ? text : null);

/**
 * Settings that live in this page's address.
 *
 * Browsers allow few changes of the address a second: it is changed when the settings
 * have been still for a while.
 */
export function settings(name, defaults, { parse, format } = {}) {
  let timer;
  return {
    values: read(location.search, name, defaults, parse),
    keep(values) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const query = write(location.search, name, defaults, values, format);
        const anchor = query && !location.hash ? `#demo-${name}` : location.hash;
        history.replaceState(history.state, "", location.pathname + query + anchor);
      }, 300);
    },
  };
}
