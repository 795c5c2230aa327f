// Gives figures the layout for the window's width: panels stand one below the other in narrow ones.
function narrow(name, layout) {
  const figure = document.getElementById(name), wide = figure.layout;
  const small = window.matchMedia('(max-width: 600px)');
  function fit() {
    const chosen = small.matches ? layout : wide;
    figure.style.height = chosen.height + 'px';
    Plotly.react(figure, figure.data, chosen);
  }
  small.addEventListener('change', fit);
  if (small.matches) fit();
}
