"""Scripts that look at a page in a browser."""

from __future__ import annotations

CONTRAST = """() => {
  const parse = text => {
    const numbers = (text.match(/-?[\\d.]+(e-?\\d+)?/g) || []).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    const [r, g, b, a = 1] = numbers;
    return [r * scale, g * scale, b * scale, a];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = colour => {
    const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
    const [r, g, b] = colour.slice(0, 3).map(c => linear(c / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    const canvas = matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('span[aria-hidden]')) continue;
    const style = getComputedStyle(element), below = ground(element);
    const [a, b] = [luminance(over(parse(style.color), below)), luminance(below)].sort((x, y) => y - x);
    const points = parseFloat(style.fontSize), isLarge = points >= 24 || (points >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + .05) / (b + .05);
    found.push([ratio, isLarge ? 3 : 4.5, walker.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}"""
"""Each text with its contrast and the least that WCAG 2.2 wants."""

TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(e => e.checkVisibility() && !e.closest('.scroll, pre, .skip'))
  .filter(e => e.getBoundingClientRect().right > innerWidth + .5 || e.getBoundingClientRect().left < -.5)
  .map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`)"""
"""Elements that are wider than the page."""
