const tools = document.querySelector(".tools");
if (tools) {
  const box = tools.querySelector("input"), shown = tools.querySelector("output");
  const items = [...document.querySelectorAll(".item")], texts = items.map(item => item.textContent.toLowerCase());
  tools.hidden = false;
  box.addEventListener("input", () => {
    const word = box.value.toLowerCase();
    let number = 0;
    items.forEach((item, place) => { item.hidden = !texts[place].includes(word); number += item.hidden ? 0 : 1; });
    shown.textContent = word ? `${number} of ${items.length} shown` : "";
  });
}
