// Asks before anything is changed: one dialog for all questions.

import { byId, element } from "./dom.js";

const dialog = byId("dialog");

// Shows a question with fields, and calls `act` with what was entered; its errors are shown, and the dialog stays.
export function confirm({ title, text = "", yes, fields = [], act, cancellable = true }) {
  return new Promise((resolve) => {
    const inputs = fields.map(({ name, label, type = "text", value = "", options, required = false }) => {
      const input = options
        ? element("select", { name }, ...options.map(([of, shown]) => element("option", { value: of }, shown)))
        : element("input", { name, type, value, autocomplete: "off", spellcheck: "false" });
      if (required) input.required = true;
      return [input, element("label", {}, label, input)];
    });
    byId("dialog-title").textContent = title;
    byId("dialog-text").textContent = text;
    byId("dialog-yes").textContent = yes;
    byId("dialog-error").textContent = "";
    byId("dialog-no").hidden = !cancellable;
    byId("dialog-fields").replaceChildren(...inputs.map(([, label]) => label));

    const form = dialog.querySelector("form");
    const end = (result) => {
      form.onsubmit = dialog.oncancel = byId("dialog-no").onclick = null;
      dialog.close();
      resolve(result);
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        end(await act(Object.fromEntries(inputs.map(([input]) => [input.name, input.value.trim()]))));
      } catch (error) {
        byId("dialog-error").textContent = error.message;
      }
    };
    byId("dialog-no").onclick = () => end(undefined);
    dialog.oncancel = (event) => {
      event.preventDefault();
      if (cancellable) end(undefined);
    };
    dialog.showModal();
    (inputs[0]?.[0] ?? byId("dialog-yes")).focus();
  });
}
