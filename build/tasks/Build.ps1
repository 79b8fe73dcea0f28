# Compiles the solution, and the module into module/bin, where its manifest looks for it.
Invoke-DotNet build ([IO.Path]::Combine($root, 'X86Virt.sln')) -c Release -v q --nologo

# The launcher has made the module that it loads; what is in use is not written over.
if (-not ('X86Virt.Engine.VirtualMachine' -as [type])) {
    $publish = 'publish', [IO.Path]::Combine($root, 'src', 'X86Virt.PowerShell'), '-c', 'Release', '-o', [IO.Path]::Combine($root, 'module', 'bin'), '-v', 'q', '--nologo', '--use-current-runtime', '--no-self-contained'
    # Ahead-of-time compiled where the registry has the compiler, as the launcher does it.
    try { Invoke-DotNet @publish -p:PublishReadyToRun=true | Out-Null }
    catch { Invoke-DotNet @publish }
}
