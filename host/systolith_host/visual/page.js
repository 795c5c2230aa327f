// Gives figures the layout for the window's width: panels stand one below the other in narrow ones.
function narrow(name, layout) {
  const figure = document.getElementById(name);
  // Plotly changes what it is given: it takes the height out of a layout when the window changes.
  const wide = structuredClone(figure.layout);
  const small = window.matchMedia('(max-width: 600px)');
  function fit() {
    const chosen = structuredClone(small.matches ? layout : wide);
    figure.style.height = chosen.height + 'px';
    Plotly.react(figure, figure.data, chosen);
  }
  small.addEventListener('change', fit);
  if (small.matches) fit();
}
