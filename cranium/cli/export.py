"""``cranium export``."""

from pathlib import Path

import click

from cranium.cli._options import PATH, Picture


@click.command(epilog='Example: cranium export --out unet.onnx')
@click.argument('checkpoint', type=PATH, required=False)
@click.option('--config', type=PATH, help='Of the checkpoint.  [default: the one beside it]')
@click.option('--out', type=Picture('.onnx'), required=True, help='The file to write.')
@click.option(
    '--quantize', is_flag=True, help='8-bit integers; refused if Dice falls by more than 0.005.'
)
def command(checkpoint: Path | None, config: Path | None, out: Path, quantize: bool) -> None:
    """Write a network as ONNX, which runs without torch; the CHECKPOINT is the pretrained one."""
    import hashlib

    from cranium.inference.network import load_network, require

    require('onnx', 'onnxruntime', 'onnxscript', extra='export')
    network = load_network(checkpoint, config, 'cpu')
    from cranium.inference.export import card_of, export_onnx

    found = export_onnx(network, out, card_of(checkpoint, network.spec), quantize)
    content = out.read_bytes()
    click.echo(f'{out}: {found.weights} weights, {len(content) / 1e6:.1f} MB')
    click.echo(
        f'ONNX Runtime and PyTorch on {found.slices} slices: log-odds differ by at most '
        f'{found.difference:.1g}, Dice is {found.dice:.4f} and {found.torch_dice:.4f}'
    )
    click.echo(f'SHA-256 {hashlib.sha256(content).hexdigest()}')
